"""The column `language` of documents: the primary subtag of what the source states.

`en-US`, `EN`, `en_GB.UTF-8` and `eng` are `en` (RFC 5646, section 2.2.1: of a language with a code of two
letters that one is its tag; CLDR's aliases say which it is); of a list (`eng,deu`) the first counts. What
is no tag (`English`) is null. Where that is not what was stated, the stated text stays in `metadata` as
`language`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.records import json_quick

VERSION = {"skyhaul.language_tags": "1"}
"""For the fingerprint: it rises when equal statements give other tags."""

_TAG = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_.@][A-Za-z0-9._@-]*)?\s*(?:[,;].*)?", re.DOTALL)

_ALIASES = """
aar:aa abk:ab adp:dz afr:af aka:ak alb:sq als:sq amh:am ara:ar arb:ar arg:an arm:hy asm:as ava:av ave:ae
aym:ay ayr:ay aze:az azj:az bak:ba bam:bm baq:eu bel:be ben:bn bis:bi bod:bo bos:bs bre:br bul:bg bur:my
cat:ca ces:cs cha:ch che:ce chi:zh chu:cu chv:cv cls:sa cmn:zh cor:kw cos:co cre:cr cwd:cr cym:cy cze:cs
dan:da deu:de div:dv drh:mn dut:nl dzo:dz ekk:et ell:el eng:en epo:eo esk:ik est:et eus:eu ewe:ee fao:fo
fas:fa fij:fj fin:fi fra:fr fre:fr fry:fy fuc:ff ful:ff gaz:om geo:ka ger:de gla:gd gle:ga glg:gl glv:gv
gre:el grn:gn gug:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ice:is
ido:io iii:ii ike:iu iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks
kat:ka kau:kr kaz:kk khk:mn khm:km kik:ki kin:rw kir:ky kmr:ku knc:kr kng:kg kom:kv kon:kg kor:ko kpv:kv
kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg lvs:lv mac:mk mah:mh mal:ml
mao:mi mar:mr may:ms mkd:mk mlg:mg mlt:mt mol:ro mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr nde:nd
ndo:ng nep:ne nld:nl nno:nn nob:nb nor:no npi:ne nya:ny oci:oc ojg:oj oji:oj ori:or orm:om ory:or oss:os
pan:pa pbu:ps per:fa pes:fa pli:pi plt:mg pol:pl por:pt prp:gu pus:ps que:qu quz:qu roh:rm ron:ro rum:ro
run:rn rus:ru sag:sg san:sa scc:sr scr:hr sin:si slk:sk slo:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so
sot:st spa:es sqi:sq src:sc srd:sc srp:sr ssw:ss sun:su swa:sw swe:sv swh:sw tah:ty tam:ta tat:tt tel:te
tgk:tg tha:th tib:bo tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:ak uig:ug ukr:uk urd:ur uzb:uz uzn:uz
ven:ve vie:vi vol:vo wel:cy wln:wa wol:wo xho:xh ydd:yi yid:yi yor:yo zha:za zho:zh zsm:ms zul:zu zyb:za
"""
_SHORTER = dict(pair.split(":") for pair in _ALIASES.split())
"""Code of three letters -> that of two (Unicode CLDR 48, supplemental metadata, `languageAlias`)."""


def primary(stated: str) -> str | None:
    """The primary subtag of a language tag, or what people write for one; None of what is none."""
    found = _TAG.fullmatch(stated)
    if found is None:
        return None
    code = found[1].lower()
    return _SHORTER.get(code, code)


def with_primary_tags(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Decoded documents with primary subtags in `language`, and what was stated otherwise in `metadata`."""
    stated = batch.column("language")
    # As a rule a shard holds few of them, all of them tags: then nothing is copied.
    changed = {text: tag for text in pc.unique(stated).to_pylist() if text and (tag := primary(text)) != text}
    changed |= {"": None} if pc.any(pc.equal(stated, "")).as_py() else {}
    if not changed:
        return batch
    hit = pc.is_in(stated, pa.array(list(changed), stated.type)).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(hit)
    texts = stated.take(pa.array(rows)).to_pylist()
    held = batch.column("metadata").take(pa.array(rows)).to_pylist()
    alone = {text: json_quick.canonical({"language": text}) for text in changed}
    kept = [
        alone[text] if metadata is None else _beside(metadata, text)
        for text, metadata in zip(texts, held, strict=True)
    ]
    batch = _replaced(batch, "language", hit, [changed[text] for text in texts])
    return _replaced(batch, "metadata", hit, kept)


def _beside(metadata: str, text: str) -> str:
    """`metadata` with the stated language; a key `language` of the source's own stays as it is."""
    return json_quick.canonical({"language": text, **json_quick.loads(metadata.encode(), 200)})


def _replaced(
    batch: pa.RecordBatch, name: str, hit: np.ndarray, values: Sequence[str | None]
) -> pa.RecordBatch:
    index = batch.schema.get_field_index(name)
    kind = batch.schema.field(index)
    column = pc.replace_with_mask(batch.column(index), pa.array(hit), pa.array(values, kind.type))
    return batch.set_column(index, kind, column)
