/** Runs dist/holdfast.cjs with the arguments given, and writes what V8 compiled of it beside the bundle. */
'use strict'

const { writeFileSync } = require('node:fs')
const { load } = require('../dist/holdfast.cjs')

const script = load()
process.on('exit', () => {
  writeFileSync(`${__dirname}/../dist/holdfast.bundle.cjs.cache`, script.createCachedData())
})
