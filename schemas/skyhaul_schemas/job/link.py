"""`links` of a job file: four ideas, each a model that code may ask for alone, flat in the file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from skyhaul_schemas.job.fieldtypes import (
    BaseUrls,
    Bind,
    Burst,
    Duration,
    JobPart,
    Outage,
    ProxyUrl,
    Rate,
    Seed,
    Share,
    SharedBy,
    Size,
    Switch,
    Text,
)
from skyhaul_schemas.job.link_terms import (
    CapPerCycle,
    CycleStart,
    ManyHours,
    PricePerGB,
    RatesByHour,
    Role,
    ZoneName,
)
from skyhaul_schemas.units import NotAllowed


class EmulationSpec(JobPart):
    """How fast, far and lossy a link is, and when it is there.

    A real one is paced to that, an emulated one is made so.
    """

    # None and not the preset's figure: a field overrides its preset only where the job file says it.

    preset: Text | None = Field(
        examples=["leo"], default=None, description="Figures of a kind of link, by name (`skyhaul presets`)."
    )
    emulate: Switch = Field(
        examples=[True],
        default=False,
        description="true: rehearse, with rate, delay, loss and outages imposed on this machine's network. "
        "false: a real link; only pace to `down` and obey `contacts`.",
    )
    down: Rate | None = Field(
        examples=["130Mbit/s"], default=None, description="Rate towards us: `130Mbit/s`."
    )
    up: Rate | None = Field(examples=["14Mbit/s"], default=None, description="Rate from us: `14Mbit/s`.")
    rtt: Duration | None = Field(examples=["45ms"], default=None, description="Round trip: `45ms`.")
    jitter: Duration | None = Field(
        examples=["8ms"], default=None, description="Spread of the round trip: `8ms`."
    )
    loss: Share | None = Field(examples=["0.4%"], default=None, description="Share of packets lost: `0.4%`.")
    loss_up: Share | None = Field(
        examples=["0.35%"], default=None, description="The same from us; by default as `loss`."
    )
    burst: Burst | None = Field(
        examples=[8],
        default=None,
        description="Mean length of a burst of losses in packets; 1: losses are independent.",
    )
    handover_every: Duration | None = Field(
        examples=["15s"], default=None, description="Period of handovers: `15s`."
    )
    handover_gap: Duration | None = Field(
        examples=["120ms"], default=None, description="Silence at a handover: `120ms`."
    )
    handover_spike: Duration | None = Field(
        examples=["40ms"],
        default=None,
        description="How much longer the round trip takes for a second after a handover.",
    )
    outages: list[Outage] | None = Field(
        examples=[["20s+5s"]],
        default=None,
        description="Times without the link, from the start: `[20s+5s]` lasts from 20 s to 25 s.",
    )
    contacts: Text | None = Field(
        examples=["passes.csv"],
        default=None,
        description="A contact plan: CSV of start, end, rate, or an HDTN contactPlan.json. "
        "The link is closed outside of its windows.",
    )
    trace: Text | None = Field(
        examples=["downlink.trace"], default=None, description="A rate trace in mahimahi's format."
    )
    delay_trace: Text | None = Field(
        examples=["delay.trace"],
        default=None,
        description="A trace of one-way delay: milliseconds, one line each 10 ms (LeoCC).",
    )
    sender: Literal["paced", "cubic"] | None = Field(
        examples=["cubic"],
        default=None,
        description="How servers send, when emulated. `paced`: at the link's rate, whatever is lost (BBR). "
        "`cubic`: with a window a connection that losses halve, so that only many connections fill the link.",
    )
    seed: Seed = Field(examples=[7], default=0, description="Seed of what the emulation draws by chance.")


class SharingSpec(JobPart):
    """How several workers share a link."""

    shared: SharedBy | None = Field(
        examples=["store"],
        default=None,
        repr=False,
        description="Several workers may haul over the link at once and divide `down` among them: `store` by "
        "leases in the dataset's store, `redis://…` by a token bucket in Redis (credentials only as "
        "`redis://:${PASSWORD}@…`). Default: one worker has the link to itself.",
    )


class RouteSpec(JobPart):
    """How a link is reached from this machine."""

    bind: Bind | None = Field(
        examples=["wwan0"],
        default=None,
        description="How the link is reached: the source address (`192.0.2.7`) or the network interface "
        "(`wwan0`; needs CAP_NET_RAW) that connections leave by.",
    )
    proxy: ProxyUrl | None = Field(
        examples=["socks5://10.0.0.1:1080"],
        default=None,
        repr=False,  # it may hold a password, and a model's repr gets into logs
        description="How the link is reached: an HTTP proxy that takes CONNECT (`http://10.0.0.1:3128`) or a "
        "SOCKS5 proxy (`socks5://…`). Credentials only as `socks5://${USER}:${PASSWORD}@…`.",
    )
    base_url: BaseUrls | None = Field(
        examples=["https://mirror.example/buoys"],
        default=None,
        repr=False,
        description="How the link is reached: where the same objects lie for those who come this way, in the "
        "place of the source's root; for several sources a mapping of source to URL.",
    )


class ContractSpec(JobPart):
    """What may be sent over a link, when, and what it costs."""

    role: Role = Field(
        examples=["overflow"],
        default="primary",
        description="`primary`: used whenever it is open. `overflow`: while the forecast misses the job's "
        "`deadline` without it. `last-resort`: while all other links of the source are down or closed.",
    )
    price: PricePerGB | None = Field(
        examples=["0.25 USD/GB"], default=None, description="Price of 10^9 bytes: `0.25 USD/GB`."
    )
    included: Size = Field(
        examples=["1TB"], default=0, description="Bytes of a cycle before the price counts: `1TB`."
    )
    cap: CapPerCycle | None = Field(
        examples=["1TB/month"],
        default=None,
        description="Bytes a cycle after which the link is closed until the next: `1TB/month`, `50GB/week`, "
        "`2GB/day`, `100GB/30d`. Counted over all hauls of this machine, in the job's `ledger`.",
    )
    cycle_start: CycleStart | None = Field(
        examples=[15],
        default=None,
        description="When cycles begin: a day of the month (`15`; the 31st is the last day of a shorter "
        "month), or a date, for weeks and numbers of days. Default: the 1st, a Monday.",
    )
    free: ManyHours = Field(
        examples=["23:00-07:00"],
        default=(),
        description="Hours in which bytes count towards neither cap nor price: `23:00-07:00`.",
    )
    hours: ManyHours | None = Field(
        examples=[["03:00-08:00"]],
        default=None,
        description="Hours in which the link may be used, as `03:00-08:00`; else it is closed.",
    )
    rates: RatesByHour = Field(
        examples=[{"08:00-18:00": "20Mbit/s", "Sat-Sun 00:00-24:00": "off"}],
        default=(),
        description="Rates by the hour: `{08:00-18:00: 20Mbit/s, Sat-Sun 00:00-24:00: off}`. The first that "
        "fits holds; `down` holds otherwise.",
    )
    timezone: ZoneName = Field(
        examples=["Europe/Berlin"],
        default="UTC",
        description="Time zone of cycles and hours: UTC, or a name such as `Europe/Berlin`.",
    )
    account: Text | None = Field(
        examples=["ship-contract"],
        default=None,
        description="The name under which the ledger counts: one for links of several jobs that are the same "
        "contract. Default: the link's name.",
    )


# The last base comes first: pydantic takes fields in that order, and the schema lists them so.
class LinkSpec(ContractSpec, RouteSpec, SharingSpec, EmulationSpec):
    """One link; every field beside `preset` overrides the preset's. Rates in bit/s, times in seconds."""

    @model_validator(mode="after")
    def _divisible(self) -> LinkSpec:
        if self.shared is not None and self.down is None:
            # Of a URL the scheme alone is told: it may hold a password.
            scheme, dots, _ = self.shared.partition("://")
            error = NotAllowed(
                f"{scheme}://…" if dots else scheme,
                "beside `down`, the rate that workers divide among them",
            )
            # Raised as a ValidationError, so that it has a place of its own in the file.
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [
                    InitErrorDetails(
                        type="value_error", loc=("shared",), input=error.found, ctx={"error": error}
                    )
                ],
                hide_input=True,
            )
        return self
