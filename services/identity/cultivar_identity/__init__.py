"""Identity: role bindings and invitations."""
