"""A photograph set in motion: what stands out, how deep it is, how it is framed, and the camera over it."""
