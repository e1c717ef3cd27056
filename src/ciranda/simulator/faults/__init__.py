"""What the world suffers; one family of faults a file."""

from ciranda.simulator.faults.absence import Gone, LongAbsence
from ciranda.simulator.faults.clocks import ClockJump, ClockSkew
from ciranda.simulator.faults.crash import Crash, CrashInRecovery, CrashInWrite, WorkerCrash
from ciranda.simulator.faults.delay import Delay
from ciranda.simulator.faults.disks import FailingCommits, FullDisk
from ciranda.simulator.faults.duplication import Duplication
from ciranda.simulator.faults.liars import Forgery, Garbage, Impossible, Meddling, TwoDecisions, TwoPayments
from ciranda.simulator.faults.loss import Loss, LostAnswer, LostQuestion
from ciranda.simulator.faults.partition import CutOff, OneWay, Partition
from ciranda.simulator.faults.pause import Pause
from ciranda.simulator.faults.put_back import PutBack
from ciranda.simulator.faults.replay import Replay

AnyFault = (
    ClockJump
    | ClockSkew
    | Crash
    | CrashInRecovery
    | CrashInWrite
    | CutOff
    | Delay
    | Duplication
    | FailingCommits
    | Forgery
    | FullDisk
    | Garbage
    | Gone
    | Impossible
    | LongAbsence
    | Loss
    | LostAnswer
    | LostQuestion
    | Meddling
    | OneWay
    | Partition
    | Pause
    | PutBack
    | Replay
    | TwoDecisions
    | TwoPayments
    | WorkerCrash
)
