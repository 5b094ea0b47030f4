"""The routes of the server; who may use which stands in `api.rights`."""
