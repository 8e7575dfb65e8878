"""Looking inside: which parts of its pictures speak for a word that a model wrote.

`run.explain` gives a `maps.Map` by any of these methods, for any family and any number of pictures:

| file | what it has |
|---|---|
| `gradcam.py` | Grad-CAM at a layer of the tower, behind the connector, or in the decoder |
| `attention.py` | what words attend to: averaged, by head, rolled out, times its gradient; the image attention share |
| `pixels.py` | integrated gradients, gradient times input |
| `perturb.py` | occlusion and RISE, which only ask the model again |
| `controls.py` | maps that know nothing: a blob in the centre, an edge detector, the same everywhere |

Whether a map is true: `truth.py` (on the thing, and what covering does), `randomize.py` (shuffled weights). What else
is asked of a model's words: `mentions.py` (did it look?), `heads.py` (which heads carry them?).

Below them: `reading.py` (which tokens), `places.py` (which token is which part of which picture), `maps.py` and
`draw.py` (the result). captum computes whatever it knows.
"""
