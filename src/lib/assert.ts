/** Thrown when Holdfast itself is wrong. Somebody else's wrong input is never an AssertionError. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Checks what only a bug of ours can make false. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** For the `default` of a switch over a closed union: a new member does not compile until it is handled. */
export function unreachable(value: never): never {
  throw new AssertionError(`unhandled case: ${JSON.stringify(value)}`)
}
