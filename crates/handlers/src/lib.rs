//! Handlers that every swapwire server can use: uppercase-echo and the classic small services.
