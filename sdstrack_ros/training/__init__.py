"""Training of the tracker: losses, self-distillation, data, the loop and the recipes.

Arrows: losses <- distillation <- recipes; losses <- loop <- recipes <- commands. Nothing here is
imported by what runs on a robot.
"""
