import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { strykerPlugins as jestPlugins } from '@stryker-mutator/jest-runner'

const [jest] = jestPlugins
/** `TestStatus.Skipped` of Stryker's API. */
const SKIPPED = 2

/** Stryker's runner for Jest, which loads for a mutant only the files with a test that reaches it, the likeliest ones first. */
export const strykerPlugins = [{ ...jest, name: 'jest-by-file', factory: byFile }]

function byFile(injector) {
  const runner = jest.factory(injector)
  const run = runner.run.bind(runner)
  const dryRun = runner.dryRun.bind(runner)
  const mutantRun = runner.mutantRun.bind(runner)
  let testFiles
  runner.run = settings => run({ testFiles, ...settings })

  // The first run takes place in one of the processes, and each of them needs what it found.
  const filesOfTests = process.env.MUTANTS_FILES_OF_TESTS
  runner.dryRun = async options => {
    const started = performance.now()
    const result = await dryRun(options)
    if (!result.tests) return result
    const files = {}
    for (const { id, fileName } of result.tests) (files[id] ??= []).push(path.resolve(fileName))
    writeFileSync(filesOfTests, JSON.stringify(files))
    // Stryker allows each mutant what this run took beside its tests: a minute of compilation, which is in Jest's cache now.
    const inTests = result.tests.reduce((sum, { timeSpentMs }) => sum + timeSpentMs, 0)
    const timeSpentMs = performance.now() - started - inTests
    return {
      ...result,
      tests: [...result.tests, { id: 'compilation', name: 'compilation', status: SKIPPED, timeSpentMs }],
    }
  }

  let files
  runner.mutantRun = async options => {
    files ??= JSON.parse(readFileSync(filesOfTests, 'utf8'))
    // A test that reaches a mutant while its module is loaded is not known: then each file is tried.
    const reached = new Set((options.testFilter ?? Object.keys(files)).flatMap(id => files[id]))
    let result
    for (const group of ownFirst([...reached], options.sandboxFileName)) {
      testFiles = group
      result = await mutantRun(options)
      if (result.status !== 'survived') return result
    }
    return result
  }
  return runner
}
byFile.inject = jest.factory.inject

/** The file's own tests, then the others. */
function ownFirst(testFiles, sandboxFileName) {
  const { name } = path.parse(sandboxFileName)
  const isOwn = file => path.basename(file).startsWith(`${name}.`)
  return [testFiles.filter(isOwn), testFiles.filter(file => !isOwn(file))].filter(group => group.length > 0)
}
