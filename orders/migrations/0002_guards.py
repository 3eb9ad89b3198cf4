"""What the tables hold by themselves: an event is never touched again, a final order never changes."""

from django.db import migrations

# TRUNCATE is not refused: row triggers don't see it, and only a table's owner may do it.
GUARDS = """
CREATE TRIGGER orderevent_is_never_changed BEFORE UPDATE OR DELETE ON orders_orderevent FOR EACH ROW
EXECUTE FUNCTION waybill_refuse('order events are never changed or deleted');

CREATE TRIGGER order_final_is_final BEFORE UPDATE ON orders_order FOR EACH ROW
WHEN (OLD.state <> 'RECEIVED')
EXECUTE FUNCTION waybill_refuse('a finished order never changes');

CREATE TRIGGER order_is_never_deleted BEFORE DELETE ON orders_order FOR EACH ROW
EXECUTE FUNCTION waybill_refuse('orders are never deleted');

CREATE TRIGGER feed_never_falls BEFORE UPDATE ON orders_feed FOR EACH ROW
WHEN (NEW.last_position < OLD.last_position OR NEW.client_id <> OLD.client_id)
EXECUTE FUNCTION waybill_refuse('a feed''s position never falls');

CREATE TRIGGER feed_is_never_deleted BEFORE DELETE ON orders_feed FOR EACH ROW
EXECUTE FUNCTION waybill_refuse('feeds are never deleted');
"""

UNGUARD = """
DROP TRIGGER orderevent_is_never_changed ON orders_orderevent;
DROP TRIGGER order_final_is_final ON orders_order;
DROP TRIGGER order_is_never_deleted ON orders_order;
DROP TRIGGER feed_never_falls ON orders_feed;
DROP TRIGGER feed_is_never_deleted ON orders_feed;
"""

# A feed's row is small and hot; an order is updated once, and its open index entry goes then.
STORAGE = """
ALTER TABLE orders_feed SET (fillfactor = 20);
ALTER TABLE orders_order SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02);
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_orders"), ("orchestrator", "0002_guards")]

    operations = [
        migrations.RunSQL(GUARDS, UNGUARD),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
    ]
