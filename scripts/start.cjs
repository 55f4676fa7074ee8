/**
 * What `node dist/holdfast.cjs` runs: the bundle beside it, with V8's code cache from the build. Compiling the
 * bundle takes about 13 ms of every start, and `holdfast run` pays that before its command begins. V8 checks
 * that the cache fits its own version and flags; if it does not, the bundle is compiled as always.
 *
 * scripts/bundle.js copies this file to dist/ and makes the cache, for which it needs `load`.
 */
'use strict'

// Started for `run` or `mount`, we share standard error with COMMAND. Node 22 and newer look at process.stderr
// while they load a module of their own, which makes the descriptor non-blocking for everybody who shares it.
if (process.env.HOLDFAST_LAUNCHER !== undefined) {
  for (const name of ['stdout', 'stderr']) {
    Object.defineProperty(process, name, { value: { isTTY: false }, configurable: true })
  }
}

const { existsSync, readFileSync } = require('node:fs')
const { Script } = require('node:vm')

const bundle = `${__dirname}/holdfast.bundle.cjs`
const cache = `${bundle}.cache`

/** Runs the bundle as a CommonJS module. @returns {import('node:vm').Script} */
function load() {
  const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(bundle, 'utf8')}\n})`
  const cachedData = existsSync(cache) ? readFileSync(cache) : undefined
  const script = new Script(source, { filename: bundle, ...(cachedData === undefined ? {} : { cachedData }) })
  script.runInThisContext()({}, require, module, bundle, __dirname)
  return script
}

if (require.main === module) load()
else module.exports = { load }
