"""Class ids of the sample clip: those of CaDIS task 1, with the data set's colours.

Reference: Grammatikopoulou et al., "CaDIS: Cataract dataset for surgical RGB-image segmentation", MedIA 2021.
"""

from __future__ import annotations

PUPIL, TAPE, HAND, RETRACTORS, IRIS, SKIN, CORNEA, INSTRUMENT = range(8)

CLASS_NAMES = ("Pupil", "Surgical Tape", "Hand", "Eye Retractors", "Iris", "Skin", "Cornea", "Instrument")
"""Name by class id."""

CLASS_COLORS = (
    (0, 137, 255),
    (255, 165, 0),
    (255, 156, 201),
    (99, 0, 255),
    (255, 0, 0),
    (255, 0, 165),
    (255, 255, 255),
    (141, 141, 141),
)
"""RGB by class id; Instrument, which CaDIS joins from 29 raw classes, has the colour of the first of them."""
