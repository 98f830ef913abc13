"""The ray-marched world: light, sky, grounds, water, creatures and the camera that films them."""
