"""Names of months and weekdays in many languages, as facts of Unicode's CLDR.

A column is read in one language: the one in which most of its cells are dates. Names are compared
without accents; the first letters of a name are enough where no other month begins like that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

_OTHER_CALENDARS = {
    "Persian": "farvardin ordibehesht khordad tir mordad amordad shahrivar mehr aban azar dey "
    "bahman esfand فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند",
    "Islamic": "muharram moharram safar rabi rabii jumada jumaada rajab shaban shaaban sha'ban "
    "ramadan ramadhan ramazan shawwal dhu dhul zulqadah zulhijjah محرم صفر ربيع جمادى رجب شعبان "
    "رمضان شوال ذو",
    "Hebrew": "nissan iyar iyyar sivan tammuz tamuz elul tishri tishrei cheshvan heshvan kislev "
    "tevet shevat shvat adar",
}
"""Names of months by which a date of another calendar is known."""
_SHORT = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LANGUAGES: dict[str, tuple[str, str]] = {
    "English": (
        "january, february, march, april, may, june, july, august, september sept, october, "
        "november, december",
        "friday monday saturday sunday thursday tuesday wednesday",
    ),
    "German": (
        "januar jänner, februar feber, märz maerz mrz, april, mai, juni, juli, august, "
        "september, oktober, november, dezember",
        "dienstag donnerstag freitag mittwoch montag samstag sonntag",
    ),
    "French": (
        "janvier, février, mars, avril, mai, juin, juillet, août, septembre, octobre, "
        "novembre, décembre",
        "dimanche jeudi lundi mardi mercredi samedi vendredi",
    ),
    "Spanish": (
        "enero, febrero, marzo, abril, mayo, junio, julio, agosto, septiembre setiembre, "
        "octubre, noviembre, diciembre",
        "domingo jueves lunes martes miércoles sábado viernes",
    ),
    "Italian": (
        "gennaio, febbraio, marzo, aprile, maggio, giugno, luglio, agosto, settembre, "
        "ottobre, novembre, dicembre",
        "domenica giovedì lunedì martedì mercoledì sabato venerdì",
    ),
    "Portuguese": (
        "janeiro, fevereiro, março, abril, maio, junho, julho, agosto, setembro, outubro, "
        "novembro, dezembro",
        "domingo feira quarta quinta segunda sexta sábado terça",
    ),
    "Dutch": (
        "januari, februari, maart mrt, april, mei, juni, juli, augustus, september, oktober, "
        "november, december",
        "dinsdag donderdag maandag vrijdag woensdag zaterdag zondag",
    ),
    "Polish": (
        "styczeń stycznia, luty lutego, marca marzec, kwiecień kwietnia, maja, czerwca "
        "czerwiec, lipca lipiec, sierpień sierpnia, wrzesień września, października, "
        "listopada, grudnia grudzień",
        "czwartek niedziela piątek poniedziałek sobota wtorek środa pt",
    ),
    "Swedish": (
        "januari, februari, mars, april, maj, juni, juli, augusti, september, oktober, "
        "november, december",
        "fredag lördag måndag onsdag söndag tisdag torsdag",
    ),
    "Danish": (
        "januar, februar, marts, april, maj, juni, juli, august, september, oktober, "
        "november, december",
        "fredag lørdag mandag onsdag søndag tirsdag torsdag",
    ),
    "Norwegian": (
        "januar, februar, mars, april, mai, juni, juli, august, september, oktober, november, "
        "desember",
        "fredag lørdag mandag onsdag søndag tirsdag torsdag",
    ),
    "Finnish": (
        "tammikuuta, helmikuuta, maaliskuuta, huhtikuuta, toukokuuta, kesäkuuta, heinäkuuta, "
        "elokuuta, syyskuuta, lokakuuta, marraskuuta, joulukuuta",
        "keskiviikko keskiviikkona lauantai lauantaina maanantai maanantaina perjantai "
        "perjantaina sunnuntai sunnuntaina tiistai tiistaina torstai torstaina",
    ),
    "Czech": (
        "leden ledna, února, březen března, duben dubna, květen května, červen června čvn, "
        "července červenec čvc, srpen srpna, září, říjen října, listopadu, prosince prosinec",
        "neděle pondělí pátek sobota středa úterý čtvrtek",
    ),
    "Slovak": (
        "januára, februára, marca marec, apríla, mája, júna, júla, augusta, september "
        "septembra, október októbra, november novembra, december decembra",
        "nedeľa piatok pondelok sobota streda utorok štvrtok",
    ),
    "Hungarian": (
        "január, február, március, április, május, június, július, augusztus, szeptember, "
        "október, november, december",
        "csütörtök hétfő kedd péntek szerda szombat vasárnap",
    ),
    "Romanian": (
        "ianuarie, februarie, martie, aprilie, mai, iunie, iulie, august, septembrie, "
        "octombrie, noiembrie nov, decembrie",
        "duminică joi luni marți miercuri sâmbătă vineri",
    ),
    "Croatian": (
        "siječanj siječnja, veljača veljače, ožujak ožujka, travanj travnja, svibanj svibnja, "
        "lipanj lipnja, srpanj srpnja, kolovoza, rujan rujna, listopada, studeni studenoga, "
        "prosinac prosinca",
        "nedjelja petak ponedjeljak srijeda subota utorak četvrtak",
    ),
    "Slovenian": (
        "januar, februar, marec, april, maj, junij, julij, avgust, september, oktober, "
        "november, december",
        "nedelja petek ponedeljek sobota sreda torek četrtek",
    ),
    "Estonian": (
        "jaanuar, veebruar, märts, aprill, mai, juuni, juuli, august, september, oktoober, "
        "november, detsember",
        "esmaspäev kolmapäev laupäev neljapäev pühapäev reede teisipäev",
    ),
    "Latvian": (
        "janvāris, februāris, marts, aprīlis, maijs, jūnijs, jūlijs, augusts, septembris, "
        "oktobris, novembris, decembris",
        "ceturtdiena otrdiena piektdiena pirmdiena sestdiena svētdiena trešdiena pk pr",
    ),
    "Lithuanian": (
        "sausio sausis, vasario vasaris, kovo kovas, balandis balandžio, gegužės, birželio "
        "birželis, liepa liepos, rugpjūtis rugpjūčio, rugsėjo rugsėjis, spalio spalis, "
        "lapkritis lapkričio, gruodis gruodžio",
        "antradienis ketvirtadienis penktadienis pirmadienis sekmadienis trečiadienis "
        "šeštadienis kt pn pr sk št",
    ),
    "Turkish": (
        "ocak, şubat, mart, nisan, mayıs, haziran, temmuz, ağustos, eylül, ekim, kasım, aralık",
        "cuma cumartesi pazar pazartesi perşembe salı çarşamba cmt ct pt pzt",
    ),
    "Russian": (
        "январь января, февраль февраля, марта, апрель апреля, май мая, июнь июня, июль июля, "
        "августа, сентябрь сентября, октябрь октября, ноябрь ноября, декабрь декабря",
        "воскресенье вторник понедельник пятница среда суббота четверг вс пн пт сб чт",
    ),
    "Ukrainian": (
        "січня січень, лютий лютого, березня березень, квітня квітень, травня травень, червня "
        "червень, липня липень, серпня серпень, вересня вересень, жовтня жовтень, листопада, "
        "грудня грудень",
        "вівторок неділя пʼятниця понеділок середа субота четвер вт нд пн пт сб ср чт",
    ),
    "Bulgarian": (
        "януари, февруари, март, април, май, юни, юли, август, септември, октомври, ноември, "
        "декември",
        "вторник неделя петък понеделник сряда събота четвъртък нд пн пт сб чт",
    ),
    "Greek": (
        "ιανουάριος ιανουαρίου, φεβρουάριος φεβρουαρίου, μάρτιος μαρτίου, απρίλιος απριλίου, "
        "μάιος μαΐου, ιουνίου ιούνιος, ιουλίου ιούλιος, αυγούστου αύγουστος, σεπτέμβριος "
        "σεπτεμβρίου, οκτωβρίου οκτώβριος, νοέμβριος νοεμβρίου, δεκέμβριος δεκεμβρίου",
        "δευτέρα κυριακή πέμπτη παρασκευή σάββατο τετάρτη τρίτη",
    ),
    "Catalan": (
        "gener, febrer, març, abril, maig, juny, juliol, agost ag, setembre, octubre, "
        "novembre, desembre",
        "dijous dilluns dimarts dimecres dissabte diumenge divendres dc dg dj dl ds dt dv",
    ),
    "Arabic": (
        "يناير جانفي, فبراير فيفري, مارس, أبريل إبريل أفريل, مايو ماي, يونيو جوان, يوليو جويلية, "
        "أغسطس أوت, سبتمبر, أكتوبر, نوفمبر, ديسمبر",
        "الأحد الاثنين الثلاثاء الأربعاء الخميس الجمعة السبت",
    ),
    "Indonesian": (
        "januari, februari, maret, april, mei, juni, juli, agustus, september, oktober, "
        "november, desember",
        "jumat kamis minggu rabu sabtu selasa senin",
    ),
}
"""Language → months from January on, with a comma between them, and names of weekdays."""
_PARTICLES = frozenset(
    (
        *("as", "d", "de", "del", "den", "der", "el", "feira", "g", "gada", "kl", "klo", "la"),
        *("las", "le", "los", "m", "ora", "r", "roku", "the", "uhr", "um"),
        *("г", "год", "года", "р", "року"),
    )
)
"""Words beside a date: of, the, o'clock, year."""
_KEPT = frozenset(
    (
        *("t", "z", "utc", "gmt", "am", "pm", "wet", "west", "cet", "cest", "mez", "mesz", "eet"),
        *("eest", "msk", "est", "edt", "cdt", "mst", "mdt", "pst", "pdt", "aest", "aedt", "nzst"),
        *("nzdt", "jst"),
    )
)
"""Words that dates in numbers have too."""
_WORD = re.compile(r"[^\W\d_]+[.ʼ’']?")
_DAYS = re.compile(r"\d{4}\s*[年년]\s*\d{1,2}\s*[月월](?:\s*\d{1,2}\s*[日일])?")
_HALF = re.compile(r"\b([ap])\.\s?m\.?", re.IGNORECASE)
_CLOCK = re.compile(r"\d{1,2}:\d\d.*$")
_MOST_WORDS = 6
_SAMPLE = 200
"""Cells of a column by which its language is found."""


def versions(cells: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return the languages in which most cells are dates, each with the cells in English.

    Languages that read the cells alike stand together ("Spanish or Portuguese"). English has no
    name and stands alone where it reads as many cells as any other, and where none reads half.

    Args:
        cells: different ones of a column.

    >>> versions(["3 ene 2021", "4 abr 2021"])
    [('Spanish', ['3 jan 2021', '4 apr 2021'])]
    >>> versions(["3 Jan 2021", "4 Apr 2021"])
    [('', ['3 Jan 2021', '4 Apr 2021'])]
    """
    plain = [("", list(cells))]
    sample = cells[:: max(1, len(cells) // _SAMPLE)]
    if 2 * sum(_DAYS.search(cell) is not None for cell in sample) > len(sample):
        return [("Chinese, Japanese or Korean", [_DAYS.sub(_numbered, cell) for cell in cells])]
    likely = _best(sample, list(LANGUAGES))
    if not likely or any("English" in names for names in likely.values()):
        return plain
    found = likely
    if len(sample) < len(cells):
        found = _best(cells, [name for names in likely.values() for name in names])
    return [(_either(names), list(whole)) for whole, names in found.items()] or plain


def _best(cells: Sequence[str], languages: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """Return the cells in English as the languages that read most of them read them.

    Empty where no language reads more than half of the cells.
    """
    words = [_words(cell) for cell in cells]
    if 2 * sum(any(word in _beginnings() for word in each or ()) for each in words) <= len(cells):
        return {}
    found: dict[tuple[str, ...], list[str]] = {}
    best = (len(cells) // 2 + 1, 0)
    for language in languages:
        read = [_translated(cell, each, language) for cell, each in zip(cells, words, strict=True)]
        there = [cell for cell, new in zip(cells, read, strict=True) if new is not None]
        # Where words have accents, a language that writes them so is the likelier one.
        accents = there if len(languages) > 1 else []
        count = len(there), sum(_with_accents(cell, language) for cell in accents)
        if count > best:
            best, found = count, {}
        if count == best:
            pairs = zip(read, cells, strict=True)
            whole = tuple(new if new is not None else cell for new, cell in pairs)
            found.setdefault(whole, []).append(language)
            if language == "English" and len(there) == len(cells):
                break
    return found


@cache
def _beginnings() -> frozenset[str]:
    """Return all first letters of all names that may stand for them."""
    names = " ".join(" ".join(each) for each in LANGUAGES.values()).replace(",", "")
    return frozenset(
        word[:size] for word in folded(names).split() for size in range(2, len(word) + 1)
    )


def alone(cells: Sequence[str]) -> list[int] | None:
    """Return the numbers of months that are written as names alone, or None.

    None too where languages read the names as other months.

    >>> alone(["March", "Jan.", "Dec"]), alone(["März", "Mai"]), alone(["Total", "May"])
    ([3, 1, 12], [3, 5], None)
    """
    words = [folded(cell).strip().rstrip(".") for cell in cells]
    different = list(dict.fromkeys(words))
    read: set[tuple[int, ...]] = set()
    for language in LANGUAGES:
        found = [_month(word, language) for word in different]
        if found and all(found):
            read.add(tuple(_SHORT.index(month) + 1 for month in found))
    if len(read) != 1:
        return None
    number = dict(zip(different, read.pop(), strict=True))
    return [number[word] for word in words]


def like_a_name(cell: str) -> bool:
    """Tell whether a cell may be a date whose month has a name in letters.

    >>> [like_a_name(cell) for cell in ("5. Tishri 5781", "Total", "31.2.2021", "n.a.")]
    [True, False, False, False]
    """
    words = _words(cell) or ()
    return 0 < len(words) <= 3 and any(len(word) > 2 and word not in _KEPT for word in words)


def calendar_of(cells: Sequence[str]) -> str | None:
    """Return the calendar of dates whose months have names of another than the common one, or None.

    >>> calendar_of(["1402 Farvardin 5", "1402 Khordad 5"]), calendar_of(["15 Ramadan 1445"])
    ('Persian', 'Islamic')
    >>> calendar_of(["5 May 2024"]), calendar_of(["Safar"])
    (None, None)
    """
    for calendar, names in _OTHER_CALENDARS.items():
        known = {folded(name) for name in names.split()}
        named = sum(not known.isdisjoint(_words(cell) or ()) for cell in cells)
        if 10 * named >= 9 * len(cells) and named:
            return calendar
    return None


def looked_for() -> str:
    """Return the languages in words."""
    shown = (
        "English",
        "German",
        "French",
        "Spanish",
        "Italian",
        "Portuguese",
        "Russian",
        "Chinese",
    )
    more = len(LANGUAGES) + 3 - len(shown)
    return f"{', '.join(shown)} and {more} other languages"


def _either(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{names[0]} or another of {len(names)} languages"
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def folded(text: str) -> str:
    """Return a text in small letters without accents.

    >>> folded("März"), folded("Ağustos"), folded("févr")
    ('marz', 'agustos', 'fevr')
    """
    parts = unicodedata.normalize("NFKD", text.replace("ı", "i").replace("İ", "I"))
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


def _words(cell: str) -> tuple[str, ...] | None:
    """Return the words of a cell that may be a date, or None: it has no number, or many words."""
    if not any(c.isdigit() for c in cell) or len(cell) > 60:
        return None
    found = tuple(folded(word).rstrip(".ʼ’'") for word in _WORD.findall(_HALF.sub(r"\1m", cell)))
    return found if len(found) <= _MOST_WORDS else None


def _numbered(found: re.Match[str]) -> str:
    return "-".join(re.findall(r"\d+", found[0]))


def _translated(cell: str, words: tuple[str, ...] | None, language: str) -> str | None:
    """Return a cell with an English month and without a weekday, or None where it is no date."""
    if words is None:
        return None
    if language == "English" and any(c.isalpha() and not c.isascii() for c in cell):
        return None  # Mär is no English
    new = _as_english(words, len(re.findall(r"\d+", _CLOCK.sub("", cell))), language)
    if new is None:
        return None
    rest = iter(new)
    text = _WORD.sub(lambda _: f" {next(rest)} ", _HALF.sub(r"\1m", cell))
    text = re.sub(r"[\s()]+", " ", text).strip(" ,.-/")
    return re.sub(r" ?([-/]) ?", r"\1", text)


def _with_accents(cell: str, language: str) -> bool:
    """Tell whether each word of a cell is written with the accents that its language has."""
    names = " ".join(LANGUAGES[language]).replace(",", "")
    words = [word.rstrip(".ʼ’'") for word in _WORD.findall(unicodedata.normalize("NFC", cell))]
    accented = [word.casefold() for word in words if not word.isascii()]
    return all(f" {word}" in f" {names}" for word in accented)


@cache
def _as_english(words: tuple[str, ...], numbers: int, language: str) -> tuple[str, ...] | None:
    """Return each word in English, empty where it is left out; None where they make no date.

    Args:
        words: of one cell.
        numbers: before the time of day. A date of three of them has no month in letters.
        language: in which they are read.
    """
    places = [i for i, word in enumerate(words) if word not in _PARTICLES and word not in _KEPT]
    # Of two, as in "mar 2 mar 2021", the first is a Tuesday.
    months = [i for i in places if numbers < 3 and _month(words[i], language)]
    weekdays = [i for i in places if i not in months[-1:]]
    if len(weekdays) > 1 or not all(_is_weekday(words[i], language) for i in weekdays):
        return None
    if not months and numbers < 3:
        return None
    return tuple(
        _month(word, language) if i in months[-1:] else word if word in _KEPT else ""
        for i, word in enumerate(words)
    )


@cache
def _month(word: str, language: str) -> str:
    """Return the first letters of a month in English, or nothing where a word is no month."""
    names = _names(language)
    if word in names:
        return _SHORT[names[word]]
    if language == "English" and len(word) > 3:
        return ""  # januar is no English
    begun = {month for name, month in names.items() if len(word) >= 3 and name.startswith(word)}
    return _SHORT[begun.pop()] if len(begun) == 1 else ""


@cache
def _names(language: str) -> dict[str, int]:
    months = LANGUAGES[language][0].split(", ")
    return {folded(name): i for i, names in enumerate(months) for name in names.split()}


@cache
def _is_weekday(word: str, language: str) -> bool:
    names = map(folded, LANGUAGES[language][1].split())
    return len(word) >= 2 and any(name.startswith(word) for name in names)
