"""The paths of this family."""

from django.urls import URLPattern

from orchestrator.api.routes import route
from orders.api import views

urlpatterns: list[URLPattern] = [
    route("api/2.3.1/orders", views.OrdersView.as_view(), name="orders"),
    route("api/2.3.1/orders/<id>", views.OrderView.as_view(), name="order"),
    route("api/2.3.1/orderevents", views.OrderEventsView.as_view(), name="order-events"),
    route("api/2.3.1/accesses", views.AccessesView.as_view(), name="accesses"),
]
