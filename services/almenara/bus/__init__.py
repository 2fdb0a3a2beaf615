"""How do signed records reach every reader? Kafka: topics, access, clients, and an embedded broker.

Nothing here knows what a record says, and nothing here is trusted with it.
"""
