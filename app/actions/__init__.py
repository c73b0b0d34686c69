"""Every command of the program, declared once as data. No Qt: menus, keys, palette and help are built from this."""
