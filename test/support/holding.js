/**
 * A file system that keeps chosen requests waiting until it is told otherwise: what a slow disk or a server that is
 * gone does, but exactly when a test wants it.
 *
 * FILE says what is held: names of methods of FuseFileSystem, separated by spaces, for everything in the directory `a`
 * of the root (for `statfs`: everywhere). For each request that is held a line with its name is added to FILE.log.
 */
import { appendFileSync, readFileSync } from 'node:fs'

/** @param {any} fileSystem @param {string} file @param {symbol} PENDING */
export function holding(fileSystem, file, PENDING) {
  /** @type {{ name: string, resume: () => void }[]} */
  const held = []

  const wanted = () => readFileSync(file, 'utf8').split(/\s+/)

  /** @param {string} name @param {any} request */
  const isHeld = (name, request) => {
    if (!wanted().includes(name)) return false
    const path = fileSystem.nodeOf(request.nodeid)?.path().toString() ?? ''
    return name === 'statfs' || path === 'a' || path.startsWith('a/')
  }

  /** @param {any} deferred @param {any} answer */
  const settle = (deferred, answer) => {
    if (answer === PENDING) return
    if (typeof answer === 'number') deferred.fail(-answer)
    else deferred.answer(answer)
  }

  const holder = new Proxy(fileSystem, {
    get(target, name) {
      const method = target[name]
      if (typeof method !== 'function' || typeof name !== 'string') return method
      return (/** @type {any[]} */ ...args) => {
        const [request] = args
        if (typeof request !== 'object' || request === null || !('defer' in request)) return method(...args)
        if (!isHeld(name, request)) return method(...args)
        // What the session will write over.
        const kept = args.map((arg) => (Buffer.isBuffer(arg) ? Buffer.from(arg) : arg))
        const deferred = request.defer()
        held.push({ name, resume: () => settle(deferred, method(...kept)) })
        appendFileSync(`${file}.log`, `${name}\n`)
        return PENDING
      }
    },
  })

  return {
    fileSystem: holder,
    /** Lets go of what is not to be held any more. Call it now and then. */
    check() {
      const names = wanted()
      for (const entry of held.splice(0)) {
        if (names.includes(entry.name)) held.push(entry)
        else entry.resume()
      }
    },
  }
}
