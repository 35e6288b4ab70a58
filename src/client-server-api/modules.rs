//! [The modules of the client-server API](https://spec.matrix.org/v1.19/client-server-api/#modules).
