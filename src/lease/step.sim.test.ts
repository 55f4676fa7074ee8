import { expect, test } from 'vitest'
import type { Instant } from '../lib/ids.js'
import { Random } from '../lib/random.js'
import { mint } from './answers.js'
import { createLeaseRules, KILL_GRACE_MS } from './index.js'
import { Auditor } from './test-auditor.js'
import { History } from './test-history.js'
import type { Input, LeasePolicy, LeaseRules } from './types.js'

const STEP_COUNT = 6_000
const SEED_COUNT = 4
const POLICY: LeasePolicy = { breakTimeMs: 200, leaseCountMax: 12, pinCountMax: 8, onTimeout: 'revoke' }

/** Rerun a failure with HOLDFAST_SEED=<the number in its name>. */
function seeds(): number[] {
  const given = process.env.HOLDFAST_SEED
  if (given !== undefined) return [Number.parseInt(given, 10)]
  const first = Date.now() % 1_000_000
  return Array.from({ length: SEED_COUNT }, (_, index) => first + index)
}

for (const seed of seeds()) {
  test(`sim: no step breaks an invariant, and every waiter is answered (seed ${seed})`, () => {
    const random = new Random(seed)
    const policy: LeasePolicy = { ...POLICY, onTimeout: random.oneIn(2) ? 'kill' : 'revoke' }
    new Simulation(createLeaseRules(policy), random).run()
  })
}

class Simulation {
  readonly #rules: LeaseRules
  readonly #random: Random
  readonly #auditor = new Auditor()
  readonly #history: History
  #now = 0
  #trace: string[] = []

  constructor(rules: LeaseRules, random: Random) {
    this.#rules = rules
    this.#random = random
    this.#history = new History(random, this.#auditor)
  }

  run(): void {
    for (let count = 0; count < STEP_COUNT; count++) {
      this.#now += this.#random.int(0, 20)
      this.#step(this.#history.next())
    }
    this.#expectAllAnswered()
    for (const input of this.#history.ending()) this.#step(input)
    expect([this.#rules.leaseCount, this.#rules.pinCount, this.#rules.nextDeadline()]).toEqual([0, 0, null])
  }

  #step(input: Input): void {
    const occupied = this.#auditor.filesWithLeases()
    const before = this.#snapshot()
    const step = this.#rules.step(input, mint<Instant>(this.#now))
    this.#trace.push(`${this.#now} ${JSON.stringify(input)}\n    -> ${JSON.stringify(step)}`)
    if (this.#trace.length > 40) this.#trace.shift()
    try {
      this.#auditor.check(this.#rules, input, step, occupied)
      // A failed step that had effects has been judged by the auditor: only breaks and refusals pass.
      if (step.answer.status === 'failed' && step.effects.length === 0 && !isStart(input)) {
        expect(this.#snapshot()).toBe(before)
      }
    } catch (cause) {
      throw new Error(`after these steps:\n${this.#trace.join('\n')}`, { cause })
    }
  }

  /** Everything that waits is answered once time has passed and what is in flight is done. */
  #expectAllAnswered(): void {
    const { inFlight, waitingChanges, waitingRequests } = this.#auditor
    for (let round = 0; inFlight.size + waitingChanges.size + waitingRequests.size > 0; round++) {
      expect(round).toBeLessThan(100)
      for (const request of [...inFlight.keys()]) this.#step({ kind: 'layout-change-done', request })
      this.#now += POLICY.breakTimeMs + KILL_GRACE_MS
      this.#step({ kind: 'time-passed' })
    }
  }

  #snapshot(): string {
    const leases = [...this.#rules.leases()]
    const polls = leases.map((lease) => (lease.ofd === null ? null : this.#rules.pollState(lease.ofd)))
    return JSON.stringify([leases, [...this.#rules.pins()], polls, this.#rules.nextDeadline()])
  }
}

function isStart(input: Input): boolean {
  return (input.kind === 'acquire' || input.kind === 'change') && input.whenBusy === 'start'
}
