"""What the clients order; one kind a file."""

from ciranda.simulator.workloads.between_two import BetweenTwo
from ciranda.simulator.workloads.hot_account import HotAccount
from ciranda.simulator.workloads.inside import Inside
from ciranda.simulator.workloads.joint import Joint
from ciranda.simulator.workloads.nonsense import Nonsense
from ciranda.simulator.workloads.package import Package
from ciranda.simulator.workloads.running_out import RunningOut
from ciranda.simulator.workloads.twice import Twice

AnyWorkload = BetweenTwo | HotAccount | Inside | Joint | Nonsense | Package | RunningOut | Twice
