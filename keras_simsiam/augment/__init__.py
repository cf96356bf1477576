"""SimSiam's random augmentation: parameters drawn per example, then pixels, batch by batch."""

from keras_simsiam.augment.policy import (
    ViewParameters,
    apply,
    draw,
    draw_box,
    make_views,
    uniforms,
)

__all__ = ["ViewParameters", "apply", "draw", "draw_box", "make_views", "uniforms"]
