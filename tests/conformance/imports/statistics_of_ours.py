WHO = "a module of ours"
