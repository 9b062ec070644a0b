"""Names that people give to what stands in a conversation: its text, speaker, time and number.

They name columns of tables and keys of objects, in the languages in which transcripts are often
exported: English, German, French, Spanish, Italian, Dutch and Portuguese.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

TEXT = (
    *("text", "utterance", "content", "message", "transcript", "sentence", "value", "body"),
    *("ausserung", "aeusserung", "nachricht", "wortlaut", "inhalt", "satz", "transkript"),
    *("texte", "enonce", "parole", "propos", "contenu", "phrase", "transcription"),
    *("texto", "enunciado", "mensaje", "contenido", "frase", "transcripcion"),
    *("testo", "messaggio", "frase", "trascrizione", "tekst", "bericht", "uiting", "zin"),
    *("mensagem", "conteudo", "fala", "transcricao", "turn"),
)
"""The text of an utterance."""
SPEAKER = (
    *("speaker", "role", "from", "who", "sender", "author", "participant", "party", "channel"),
    *("user", "user_name", "username", "display_name", "real_name", "speaker_id", "speaker_name"),
    *("sprecher", "sprecherin", "redner", "rolle", "absender", "teilnehmer", "verfasser", "kanal"),
    *("locuteur", "locutrice", "interlocuteur", "intervenant", "auteur", "expediteur"),
    *("hablante", "interlocutor", "rol", "autor", "remitente", "participante", "canal"),
    *("parlante", "ruolo", "mittente", "autore", "spreker", "afzender", "deelnemer"),
    *("falante", "papel", "utilisateur", "usuario", "nutzer", "benutzer"),
)
"""The speaker of an utterance."""
CONVERSATION = (
    *("conversation", "conv", "call", "dialogue", "dialog", "chat", "session", "interaction"),
    *("meeting", "thread", "ticket", "case", "debate", "episode", "scene"),
    *("anruf", "telefonat", "gesprach", "gespraech", "unterhaltung", "sitzung", "vorgang", "fall"),
    *("appel", "entretien", "echange", "seance", "reunion"),
    *("llamada", "conversacion", "dialogo", "sesion", "charla", "caso", "hilo"),
    *("chiamata", "conversazione", "sessione", "colloquio", "gesprek", "oproep", "dialoog"),
    *("sessie", "chamada", "ligacao", "conversa", "sessao"),
    *("recording", "file", "file_name", "aufnahme", "datei", "enregistrement", "fichier"),
    *("grabacion", "archivo"),
)
"""The number or name of the conversation that an utterance belongs to."""
ORDER = (
    *("order", "turn", "position", "sequence", "seq", "index", "number", "utterance_idx"),
    *("turn_index", "turn_idx", "line", "utterance", "sentence"),
    *("reihenfolge", "nr", "zeile", "ordre", "ligne", "orden", "linea", "ordine", "riga"),
    *("volgorde", "regel", "ordem", "linha"),
)
"""The place of an utterance in its conversation."""
UNSURE = frozenset(["index", "number", "nr", "line", "sequence", "position", "date", "data"])
"""Names of an order that are also given to something else."""
TIME = (
    *("start", "start_time", "start_s", "start_sec", "start_seconds", "start_ms", "time"),
    *("timestamp", "time_stamp", "begin", "begin_time", "offset", "date_time", "datetime", "ts"),
    *("created_at", "created_date_time", "sent_at", "date"),
    *("zeit", "uhrzeit", "zeitpunkt", "zeitstempel", "beginn", "anfang", "datum"),
    *("temps", "heure", "horodatage", "debut"),
    *("tiempo", "hora", "marca_de_tiempo", "marca_temporal", "inicio", "comienzo", "fecha"),
    *("tempo", "ora", "inizio", "orario", "tijd", "tijdstip", "tijdstempel"),
    *("message", "nachricht", "mensaje"),
)
"""The time of an utterance, or where there is none the number of its message."""
CONVERSATIONS = (
    *("turns", "utterances", "dialogue", "dialog", "conversation", "conversations"),
    *("messages", "transcript", "chat"),
)
"""A column of whole conversations, or the key under which one stands."""

_NUMBERS = "id|ids|no|nr|num|nums|number|index|idx|key|uuid|nummer|kennung|numero|code"
_OF_SPEAKERS = "id|name|role|type|label|nom|nombre|nome|naam|rolle|kennung|nr"
_JOINED = "de|del|de_la|de_l|d|di|della|der|des|do|da|van|l"
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# The number of a message is a place; that of an utterance without one is what was said.
_WITH_NUMBER = frozenset(["message", "nachricht", "mensaje", "utterance", "sentence", "line"])


@cache
def plain(name: str) -> str:
    """Return a name in small letters without accents, one mark between its words.

    >>> plain("Äußerung"), plain("CallID"), plain("Numéro d'appel"), plain(" Start (s) ")
    ('ausserung', 'call_id', 'numero_d_appel', 'start_s')
    """
    parted = _CAMEL.sub("_", name.strip())
    letters = unicodedata.normalize("NFKD", parted.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", "_", bare).strip("_")


def of_text(name: str) -> int | None:
    """Return how surely a column is called like a text, 0 being the surest; None where not.

    >>> of_text("Texte"), of_text("body.content") is not None, of_text("label")
    (15, True, None)
    """
    return _rank(name, TEXT, "")


def of_speaker(name: str) -> int | None:
    """Return how surely a column is called like a speaker, 0 being the surest; None where not.

    >>> of_speaker("speaker"), of_speaker("Sprecher") is not None, of_speaker("text")
    (0, True, None)
    """
    return _rank(name, SPEAKER, _OF_SPEAKERS)


def of_conversation(name: str) -> int | None:
    """Return how surely a column is called like a conversation; None where not.

    >>> names = ["call_id", "Anruf-Nr.", "id_llamada", "Numéro d'appel", "Gesprächsnummer", "text"]
    >>> [of_conversation(name) is not None for name in names]
    [True, True, True, True, True, False]
    """
    return _rank(name, CONVERSATION, _NUMBERS)


def of_time(name: str) -> int | None:
    """Return how surely a column is called like an order or a time; None where not.

    >>> of_time("order"), of_time("turn_id"), of_time("Uhrzeit") is not None, of_time("message")
    (0, 1, True, None)
    """
    found = _rank(name, (*ORDER, *TIME), _NUMBERS)
    if found is None or plain(_last(name)) not in _WITH_NUMBER:
        return found
    return None


def key(keys: Iterable[object], names: Sequence[str]) -> object | None:
    """Return the key of an object that is called like one of some names, the likelier first.

    >>> key(["Text", "Sprecher"], SPEAKER), key(["a"], TEXT)
    ('Sprecher', None)
    """
    known = {plain(str(one)): one for one in reversed(list(keys))}
    return next((known[name] for name in names if name in known), None)


def _last(name: str) -> str:
    return name.strip().rpartition(".")[2] or name


def _rank(name: str, names: tuple[str, ...], numbers: str) -> int | None:
    """Return the place among names of one that may have the word for a number beside it."""
    # Within an object, as `from.user.displayName`, the last name tells.
    for one in dict.fromkeys((name, _last(name))):
        found = _pattern(names, numbers).fullmatch(plain(one))
        if found is not None:
            return names.index(found["name"])
    return None


@cache
def _pattern(names: tuple[str, ...], numbers: str) -> re.Pattern[str]:
    ordered = "|".join(sorted(map(re.escape, set(names)), key=len, reverse=True))
    if not numbers:
        return re.compile(rf"(?P<name>{ordered})s?")
    before = rf"(?:(?:{numbers})_(?:(?:{_JOINED})_)?)?"
    return re.compile(rf"{before}(?P<name>{ordered})(?:s|es)?(?:_?(?:{numbers}))?")
