"""What answers the requests: one module per subject, each with a class ``Handler``, imported with its first request.

A request names its module (:attr:`app.worker.messages.Request.handler`): a new one needs its message, its handler and a caller.
"""
