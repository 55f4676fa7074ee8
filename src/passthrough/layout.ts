/** Changes that take bytes away from a file: ask, then act, then say that it is done, then answer. */
import type { Answer, Failure, RequestInfo } from '../fuse/api.js'
import { Errno } from '../lib/errno.js'
import type { LayoutChange, LayoutGate } from './gate.js'
import { LaterAnswer } from './later.js'

/**
 * Carries out a layout change once the gate lets it. Everything that `act` relies on may have changed while it
 * waited, sizes above all: `act` reads them itself.
 *
 * @param act does it, and gives the answer when it has, at once or from an io thread's completion.
 * @param refused what else there is to do when the gate says no.
 */
export function changeLayout<T extends object | symbol>(
  gate: LayoutGate,
  request: RequestInfo,
  change: LayoutChange,
  act: (finish: (answer: T | Failure) => void) => void,
  refused: (() => void) | undefined = undefined,
): Answer<T> {
  const later = new LaterAnswer<T>()
  const cancel = gate.ask(request, change, (errno, done) => {
    if (errno !== 0) {
      refused?.()
      later.give(-errno)
      return
    }
    let isFinished = false
    const finish = (answer: T | Failure) => {
      isFinished = true
      done()
      later.give(answer)
    }
    try {
      act(finish)
    } catch (bug) {
      // After a wait nobody else would answer: the change is over, and its caller hears of it.
      if (!isFinished) finish(-Errno.EIO)
      throw bug
    }
  })
  return later.take(request, cancel)
}
