/** All scenarios, topic by topic. A test compares this list with the files. */
import type { Scenario } from '../scenario.js'
import { scenario as breakingABreakerKilledWhileItWaits } from './breaking/a-breaker-killed-while-it-waits.js'
import { scenario as breakingABreakerStoppedWhileItWaits } from './breaking/a-breaker-stopped-while-it-waits.js'
import { scenario as breakingABreakerWaitsForAllHolders } from './breaking/a-breaker-waits-for-all-holders.js'
import { scenario as breakingAHolderThatExitsWhileItIsTold } from './breaking/a-holder-that-exits-while-it-is-told.js'
import { scenario as breakingAHolderThatNeverAnswers } from './breaking/a-holder-that-never-answers.js'
import { scenario as breakingAHolderThatWasStopped } from './breaking/a-holder-that-was-stopped.js'
import { scenario as breakingALeaseMayAskForLessTime } from './breaking/a-lease-may-ask-for-less-time.js'
import { scenario as breakingALeaseMayNotAskForMoreTime } from './breaking/a-lease-may-not-ask-for-more-time.js'
import { scenario as breakingALeaseRequestThatIsInterrupted } from './breaking/a-lease-request-that-is-interrupted.js'
import { scenario as breakingAWaitCanBeInterrupted } from './breaking/a-wait-can-be-interrupted.js'
import { scenario as breakingLoweringIsEnoughForAReader } from './breaking/lowering-is-enough-for-a-reader.js'
import { scenario as breakingLoweringIsNotEnoughForAChange } from './breaking/lowering-is-not-enough-for-a-change.js'
import { scenario as breakingManyBreakersInOrder } from './breaking/many-breakers-in-order.js'
import { scenario as breakingNobodyIsForcedToWait } from './breaking/nobody-is-forced-to-wait.js'
import { scenario as breakingNobodyIsKilledWhoIsNoOwner } from './breaking/nobody-is-killed-who-is-no-owner.js'
import { scenario as breakingNobodyWaitsForItself } from './breaking/nobody-waits-for-itself.js'
import { scenario as breakingOnlyTheBytesThatGo } from './breaking/only-the-bytes-that-go.js'
import { scenario as breakingOpeningWithOTrunc } from './breaking/opening-with-o-trunc.js'
import { scenario as breakingOtherOwnersAreAskedFirst } from './breaking/other-owners-are-asked-first.js'
import { scenario as breakingOwnersAreKilledAtTheDeadline } from './breaking/owners-are-killed-at-the-deadline.js'
import { scenario as breakingPunchingAndZeroing } from './breaking/punching-and-zeroing.js'
import { scenario as breakingTheBreakerWaitsUntilTheRelease } from './breaking/the-breaker-waits-until-the-release.js'
import { scenario as breakingTwoBreakersShareOneBreak } from './breaking/two-breakers-share-one-break.js'
import { scenario as conflictsANormalLeaseInTheWay } from './conflicts/a-normal-lease-in-the-way.js'
import { scenario as conflictsAnExclusiveLeaseInTheWay } from './conflicts/an-exclusive-lease-in-the-way.js'
import { scenario as conflictsNobodyOvertakesAWaitingChange } from './conflicts/nobody-overtakes-a-waiting-change.js'
import { scenario as conflictsNobodyOvertakesAWaitingRequest } from './conflicts/nobody-overtakes-a-waiting-request.js'
import { scenario as conflictsStartBreaksAndPollSaysWhen } from './conflicts/start-breaks-and-poll-says-when.js'
import { scenario as conflictsWaitIsGrantedWhenTheWayIsFree } from './conflicts/wait-is-granted-when-the-way-is-free.js'
import { scenario as conflictsWhoWaitsIsNotKeptFromLettingGo } from './conflicts/who-waits-is-not-kept-from-letting-go.js'
import { scenario as conflictsWhoseBreakLetsTheNextOneIn } from './conflicts/whose-break-lets-the-next-one-in.js'
import { scenario as exclusiveAChangeFailsAndTheHolderHearsOfIt } from './exclusive/a-change-fails-and-the-holder-hears-of-it.js'
import { scenario as exclusiveANormalWriteLeaseLetsItsOwnPass } from './exclusive/a-normal-write-lease-lets-its-own-pass.js'
import { scenario as exclusiveAPinnedLeaseIsNotSeized } from './exclusive/a-pinned-lease-is-not-seized.js'
import { scenario as exclusiveARefusalBreaksNothing } from './exclusive/a-refusal-breaks-nothing.js'
import { scenario as exclusiveAWriterChangesItsOwn } from './exclusive/a-writer-changes-its-own.js'
import { scenario as exclusiveCollapsingTakesAllThatFollows } from './exclusive/collapsing-takes-all-that-follows.js'
import { scenario as exclusiveNotWherePinsAre } from './exclusive/not-where-pins-are.js'
import { scenario as exclusiveOnesOwnIsADeadlock } from './exclusive/ones-own-is-a-deadlock.js'
import { scenario as exclusiveOnlyTheLeasedBytes } from './exclusive/only-the-leased-bytes.js'
import { scenario as exclusiveRootIsRefusedToo } from './exclusive/root-is-refused-too.js'
import { scenario as exclusiveWhoMaySeize } from './exclusive/who-may-seize.js'
import { scenario as identityABreakingLeaseCannotBeRaised } from './identity/a-breaking-lease-cannot-be-raised.js'
import { scenario as identityAnIdOfAnotherOpenFileIsUnknown } from './identity/an-id-of-another-open-file-is-unknown.js'
import { scenario as identityAnUpgradeLeavesNoGap } from './identity/an-upgrade-leaves-no-gap.js'
import { scenario as identityLeasesOfOneOpenFileGetAlong } from './identity/leases-of-one-open-file-get-along.js'
import { scenario as kernelLockARefusedChangeLetsTheNextOneThrough } from './kernel-lock/a-refused-change-lets-the-next-one-through.js'
import { scenario as kernelLockKilledInTheQueue } from './kernel-lock/killed-in-the-queue.js'
import { scenario as kernelLockNotEvenONonblockHelpsBehindATruncate } from './kernel-lock/not-even-o-nonblock-helps-behind-a-truncate.js'
import { scenario as kernelLockNotInterruptedInTheQueue } from './kernel-lock/not-interrupted-in-the-queue.js'
import { scenario as kernelLockOTruncBlocksNobody } from './kernel-lock/o-trunc-blocks-nobody.js'
import { scenario as kernelLockOTruncNeedsTheLockInTheEnd } from './kernel-lock/o-trunc-needs-the-lock-in-the-end.js'
import { scenario as kernelLockWhatGoesOnDuringAWaitingTruncate } from './kernel-lock/what-goes-on-during-a-waiting-truncate.js'
import { scenario as kernelLockWhatWaitsForAWaitingTruncate } from './kernel-lock/what-waits-for-a-waiting-truncate.js'
import { scenario as levelsNormalWaitsAndExclusiveFails } from './levels/normal-waits-and-exclusive-fails.js'
import { scenario as lifetimeAKilledHolderHoldsNothing } from './lifetime/a-killed-holder-holds-nothing.js'
import { scenario as lifetimeALeaseSurvivesItsTaker } from './lifetime/a-lease-survives-its-taker.js'
import { scenario as lifetimeAMappingEndsWithItsProcess } from './lifetime/a-mapping-ends-with-its-process.js'
import { scenario as lifetimeAMappingLeftBehind } from './lifetime/a-mapping-left-behind.js'
import { scenario as lifetimeTheLastCloseEndsIt } from './lifetime/the-last-close-ends-it.js'
import { scenario as limitsLeasesOfOneUser } from './limits/leases-of-one-user.js'
import { scenario as limitsPinsOfOneUser } from './limits/pins-of-one-user.js'
import { scenario as modesAWriterIsAlone } from './modes/a-writer-is-alone.js'
import { scenario as modesReadersShareARange } from './modes/readers-share-a-range.js'
import { scenario as optInNamesAndPermissionsAreNoLayoutChanges } from './opt-in/names-and-permissions-are-no-layout-changes.js'
import { scenario as optInReadingAndWritingAreNoLayoutChanges } from './opt-in/reading-and-writing-are-no-layout-changes.js'
import { scenario as optInWithoutALeaseNothingChanges } from './opt-in/without-a-lease-nothing-changes.js'
import { scenario as ownersADescriptorPassedOn } from './owners/a-descriptor-passed-on.js'
import { scenario as ownersALeaseWithoutOwnersStillProtects } from './owners/a-lease-without-owners-still-protects.js'
import { scenario as ownersAParentCanBeMadeOwner } from './owners/a-parent-can-be-made-owner.js'
import { scenario as ownersASignalNeedsTheRightToSendIt } from './owners/a-signal-needs-the-right-to-send-it.js'
import { scenario as ownersSignalsThatNobodyCanCatch } from './owners/signals-that-nobody-can-catch.js'
import { scenario as ownersThreeProcessesAreToldOnceEach } from './owners/three-processes-are-told-once-each.js'
import { scenario as pinsABreakingOrRevokedLeasePinsNothing } from './pins/a-breaking-or-revoked-lease-pins-nothing.js'
import { scenario as pinsAChildInheritsNoPins } from './pins/a-child-inherits-no-pins.js'
import { scenario as pinsAContextOwnsPins } from './pins/a-context-owns-pins.js'
import { scenario as pinsAKilledProcessPinsNothing } from './pins/a-killed-process-pins-nothing.js'
import { scenario as pinsAPinnedLeaseStays } from './pins/a-pinned-lease-stays.js'
import { scenario as pinsAZombiePinsNothingMore } from './pins/a-zombie-pins-nothing-more.js'
import { scenario as pinsNotThroughAnotherFile } from './pins/not-through-another-file.js'
import { scenario as pinsNothingElseEndsThem } from './pins/nothing-else-ends-them.js'
import { scenario as pinsOnlyAnOwnerPins } from './pins/only-an-owner-pins.js'
import { scenario as pinsPinsAfterTheLastClose } from './pins/pins-after-the-last-close.js'
import { scenario as pinsPinsCount } from './pins/pins-count.js'
import { scenario as pinsTheFileStays } from './pins/the-file-stays.js'
import { scenario as pinsUnpinnedFromAnywhereByItsProcessAlone } from './pins/unpinned-from-anywhere-by-its-process-alone.js'
import { scenario as reachALeaseNeedsTheMount } from './reach/a-lease-needs-the-mount.js'
import { scenario as reachFuseRefusesToCollapse } from './reach/fuse-refuses-to-collapse.js'
import { scenario as reachWhatGoesPastTheMountIsNotStopped } from './reach/what-goes-past-the-mount-is-not-stopped.js'
import { scenario as reportsAQueryForetells } from './reports/a-query-foretells.js'
import { scenario as reportsEventsTellTheStory } from './reports/events-tell-the-story.js'
import { scenario as reportsEveryLeaseIsSeen } from './reports/every-lease-is-seen.js'
import { scenario as reportsPinsOfAProcess } from './reports/pins-of-a-process.js'
import { scenario as rightsAReaderCannotDelayByWaiting } from './rights/a-reader-cannot-delay-by-waiting.js'
import { scenario as rightsAReaderCannotForbidChanges } from './rights/a-reader-cannot-forbid-changes.js'
import { scenario as rightsASquatterCanBeRemoved } from './rights/a-squatter-can-be-removed.js'
import { scenario as rightsChownLaterChangesNothing } from './rights/chown-later-changes-nothing.js'
import { scenario as rightsOwnerRootAndWritersMay } from './rights/owner-root-and-writers-may.js'
import { scenario as rightsSetuidLaterChangesNothing } from './rights/setuid-later-changes-nothing.js'

export const SCENARIOS: readonly Scenario[] = [
  optInNamesAndPermissionsAreNoLayoutChanges,
  optInReadingAndWritingAreNoLayoutChanges,
  optInWithoutALeaseNothingChanges,
  levelsNormalWaitsAndExclusiveFails,
  modesAWriterIsAlone,
  modesReadersShareARange,
  identityABreakingLeaseCannotBeRaised,
  identityAnIdOfAnotherOpenFileIsUnknown,
  identityAnUpgradeLeavesNoGap,
  identityLeasesOfOneOpenFileGetAlong,
  ownersADescriptorPassedOn,
  ownersALeaseWithoutOwnersStillProtects,
  ownersAParentCanBeMadeOwner,
  ownersASignalNeedsTheRightToSendIt,
  ownersSignalsThatNobodyCanCatch,
  ownersThreeProcessesAreToldOnceEach,
  conflictsANormalLeaseInTheWay,
  conflictsAnExclusiveLeaseInTheWay,
  conflictsNobodyOvertakesAWaitingChange,
  conflictsNobodyOvertakesAWaitingRequest,
  conflictsStartBreaksAndPollSaysWhen,
  conflictsWaitIsGrantedWhenTheWayIsFree,
  conflictsWhoWaitsIsNotKeptFromLettingGo,
  conflictsWhoseBreakLetsTheNextOneIn,
  lifetimeAKilledHolderHoldsNothing,
  lifetimeALeaseSurvivesItsTaker,
  lifetimeAMappingEndsWithItsProcess,
  lifetimeAMappingLeftBehind,
  lifetimeTheLastCloseEndsIt,
  rightsAReaderCannotDelayByWaiting,
  rightsAReaderCannotForbidChanges,
  rightsASquatterCanBeRemoved,
  rightsChownLaterChangesNothing,
  rightsOwnerRootAndWritersMay,
  rightsSetuidLaterChangesNothing,
  limitsLeasesOfOneUser,
  limitsPinsOfOneUser,
  reachALeaseNeedsTheMount,
  reachFuseRefusesToCollapse,
  reachWhatGoesPastTheMountIsNotStopped,
  breakingABreakerKilledWhileItWaits,
  breakingABreakerStoppedWhileItWaits,
  breakingABreakerWaitsForAllHolders,
  breakingAHolderThatExitsWhileItIsTold,
  breakingAHolderThatNeverAnswers,
  breakingAHolderThatWasStopped,
  breakingALeaseMayAskForLessTime,
  breakingALeaseMayNotAskForMoreTime,
  breakingALeaseRequestThatIsInterrupted,
  breakingAWaitCanBeInterrupted,
  breakingLoweringIsEnoughForAReader,
  breakingLoweringIsNotEnoughForAChange,
  breakingManyBreakersInOrder,
  breakingNobodyIsForcedToWait,
  breakingNobodyIsKilledWhoIsNoOwner,
  breakingNobodyWaitsForItself,
  breakingOnlyTheBytesThatGo,
  breakingOpeningWithOTrunc,
  breakingOtherOwnersAreAskedFirst,
  breakingOwnersAreKilledAtTheDeadline,
  breakingPunchingAndZeroing,
  breakingTheBreakerWaitsUntilTheRelease,
  breakingTwoBreakersShareOneBreak,
  exclusiveAChangeFailsAndTheHolderHearsOfIt,
  exclusiveANormalWriteLeaseLetsItsOwnPass,
  exclusiveAPinnedLeaseIsNotSeized,
  exclusiveARefusalBreaksNothing,
  exclusiveAWriterChangesItsOwn,
  exclusiveCollapsingTakesAllThatFollows,
  exclusiveNotWherePinsAre,
  exclusiveOnesOwnIsADeadlock,
  exclusiveOnlyTheLeasedBytes,
  exclusiveRootIsRefusedToo,
  exclusiveWhoMaySeize,
  pinsABreakingOrRevokedLeasePinsNothing,
  pinsAChildInheritsNoPins,
  pinsAContextOwnsPins,
  pinsAKilledProcessPinsNothing,
  pinsAPinnedLeaseStays,
  pinsAZombiePinsNothingMore,
  pinsNotThroughAnotherFile,
  pinsNothingElseEndsThem,
  pinsOnlyAnOwnerPins,
  pinsPinsAfterTheLastClose,
  pinsPinsCount,
  pinsTheFileStays,
  pinsUnpinnedFromAnywhereByItsProcessAlone,
  reportsAQueryForetells,
  reportsEventsTellTheStory,
  reportsEveryLeaseIsSeen,
  reportsPinsOfAProcess,
  kernelLockARefusedChangeLetsTheNextOneThrough,
  kernelLockKilledInTheQueue,
  kernelLockNotEvenONonblockHelpsBehindATruncate,
  kernelLockNotInterruptedInTheQueue,
  kernelLockOTruncBlocksNobody,
  kernelLockOTruncNeedsTheLockInTheEnd,
  kernelLockWhatGoesOnDuringAWaitingTruncate,
  kernelLockWhatWaitsForAWaitingTruncate,
]
