#!/usr/bin/env node
import { watchOutput } from './output.js'
import { run } from './run.js'

const output = watchOutput()
const exitCode = await run(process.argv.slice(2))
process.exitCode = output.exitCode ?? exitCode
