"""The task `translate`: one text in, another out, by an encoder and a decoder with attention."""
