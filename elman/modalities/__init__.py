"""Modalities: what a sequence is made of.

`MODALITIES` maps a name to the class of a modality, imported when it is used. The order is the
order in which a table's columns are looked through for a sequence.
"""

from __future__ import annotations

from elman.registry import Registry

MODALITIES = Registry(
    "modality",
    "elman.modalities",
    {
        "image": "elman.modalities.image:Image",
        "audio": "elman.modalities.audio:Audio",
        "turns": "elman.modalities.turns:Turns",
        "series": "elman.modalities.series:Series",
        "tokens": "elman.modalities.tokens:Tokens",
        "text": "elman.modalities.text:Text",
        "number": "elman.modalities.number:Number",
    },
)
