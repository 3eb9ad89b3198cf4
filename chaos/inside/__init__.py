"""What chaos puts into Waybill's own processes, as a Django app in WAYBILL_APPS: traps, a shifted clock, a witness.

It is the only thing that rigs a process. It needs CHAOS_DIRECTORY too, and is no part of the image that is deployed.
"""
