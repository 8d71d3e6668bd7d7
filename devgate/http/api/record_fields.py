"""The fields of a machine's record, and the filters of lists of machines, as calls of the API
take them."""

from __future__ import annotations

from devgate.http.api import schemas as s
from devgate.http.api.call import Field
from devgate.http.api.schemas import nullable

RECORD = (
    Field("iccid", nullable(s.ICCID), "Of its SIM."),
    Field("sim_phone", nullable(s.SIM_PHONE), "The telephone number of its SIM."),
    Field("model", nullable(s.WORD), "Its model: answers are compared with others of it."),
    Field("firmware", nullable(s.WORD), "The version of its firmware."),
    Field("serial", nullable(s.WORD), "The maker's own number; found by the search."),
    Field("installed_on", nullable(s.INSTALLED), "Since when it stands there."),
    Field("note", nullable(s.REMARK), "What people should know."),
    Field("tags", nullable(s.TAGS), "Words to find it by, with commas between."),
    Field("latitude", nullable(s.LATITUDE), "Degrees north; given with `longitude`."),
    Field("longitude", nullable(s.LONGITUDE), "Degrees east; given with `latitude`."),
)
TAG_FIELDS = (
    Field("tag", s.TAGS, "Tags to add to those that are there."),
    Field("untag", s.TAGS, "Tags to take away."),
)
# The filters of the list of devices, and of a job for many devices.
FILTER_FIELDS = (
    Field("q", s.SEARCH, "What to look for in IMEI, name and site; or its number."),
    Field("site", s.SITE, "Only of this site."),
    Field("online", s.YES, "Only those that are connected, or are not."),
    Field("running", s.YES, "Only those that run, or do not."),
    Field("enabled", s.YES, "Only those that may register, or may not."),
    Field("seen", s.YES, "Only those that were connected once, or never were."),
    Field("offline_for", s.SPAN, "Only those that are offline for at least this many seconds."),
    Field("not_started_for", s.SPAN,
          "Only those of which no start was confirmed for at least this many seconds."),
    Field("model", s.MODEL, "Only of this model."),
    Field("tag", s.TAG, "Only those with this tag."),
    Field("failing", s.PERCENT,
          "Only those of whose latest starts a larger share, in percent, went wrong."),
)  # fmt: skip
