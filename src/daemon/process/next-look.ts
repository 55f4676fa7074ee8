/**
 * Whether to look for another request before waiting for one. Looking in vain costs a system call, looking with success
 * saves one: that there is something at once depends on how many programs are at work, so it goes by what was found.
 */

/** So many looks in vain after a good one, before none is taken any more. */
const PATIENCE = 8
/** After so many looks that were left out, one is tried. */
const LEFT_OUT_MAX = 64

export class NextLook {
  #patience = 0
  #leftOutCount = 0
  #isTrial = false

  /**
   * To be asked after each request; who gets true looks, and says so if that was in vain.
   * @param isAwaited whether a program waits for the request that was just carried out. After others the next one of
   *   the same program mostly stands right behind: a close leaves a RELEASE.
   */
  isWorthwhile(isAwaited: boolean): boolean {
    if (this.#isTrial) this.#patience = PATIENCE
    this.#isTrial = isAwaited && (this.#patience > 0 || ++this.#leftOutCount >= LEFT_OUT_MAX)
    return this.#isTrial || !isAwaited
  }

  wasInVain(): void {
    if (!this.#isTrial) return
    this.#isTrial = false
    this.#leftOutCount = 0
    if (this.#patience > 0) this.#patience--
  }
}
