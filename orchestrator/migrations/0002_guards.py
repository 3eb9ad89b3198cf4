"""What the tables hold by themselves beyond checks: final means final, a clock never falls; and how they are stored."""

from django.db import migrations

GUARDS = """
CREATE FUNCTION waybill_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER message_final_is_final BEFORE UPDATE OF status ON orchestrator_message FOR EACH ROW
WHEN (OLD.processed_at IS NOT NULL AND NEW.status IS DISTINCT FROM OLD.status)
EXECUTE FUNCTION waybill_refuse('a final status never changes');

CREATE TRIGGER lane_clock_never_falls BEFORE UPDATE OF clock ON orchestrator_lane FOR EACH ROW
WHEN (NEW.clock < OLD.clock)
EXECUTE FUNCTION waybill_refuse('a lane''s clock never falls');

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE OR DELETE ON orchestrator_auditentry FOR EACH ROW
EXECUTE FUNCTION waybill_refuse('audit entries are never changed or deleted');
"""

UNGUARD = """
DROP TRIGGER message_final_is_final ON orchestrator_message;
DROP TRIGGER lane_clock_never_falls ON orchestrator_lane;
DROP TRIGGER audit_is_never_changed ON orchestrator_auditentry;
DROP FUNCTION waybill_refuse();
"""

# Small hot rows keep room on their page for HOT updates; the large tables are vacuumed by rows changed, not by
# a fifth of their size, because dead entries of the claimable index are what slows a claim down.
STORAGE = """
ALTER TABLE orchestrator_lane SET (fillfactor = 20);
ALTER TABLE orchestrator_clientlane SET (fillfactor = 50);
ALTER TABLE orchestrator_claim SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE orchestrator_worker SET (fillfactor = 50);
ALTER TABLE orchestrator_breaker SET (fillfactor = 20);
ALTER TABLE orchestrator_bucket SET (fillfactor = 20);
ALTER TABLE orchestrator_tally SET (fillfactor = 50);
ALTER TABLE orchestrator_message SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE orchestrator_request SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02);
"""


class Migration(migrations.Migration):
    dependencies = [("orchestrator", "0001_ledger")]

    operations = [
        migrations.RunSQL(GUARDS, UNGUARD),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
    ]
