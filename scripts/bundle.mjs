// node scripts/bundle.mjs [folder]
//
// Bundles lib/ into a folder, by default dist/. To add an entry point, add it to `exports` or `bin` of package.json.
//
// `import` and `require` get a file for each entry point, chunks that these share, and a chunk with got, which is loaded
// at the first mint. The conditions `workerd` and `edge-light` get files without any module of Node. Dependencies are inside, so an install brings one package: see docs/decisions/0018-one-package.md.
import { existsSync } from 'node:fs'
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import commonjs from '@rollup/plugin-commonjs'
import inject from '@rollup/plugin-inject'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { transform } from 'esbuild'
import { rollup } from 'rollup'
import esbuild from 'rollup-plugin-esbuild'
import license from 'rollup-plugin-license'
import sbom from 'rollup-plugin-sbom'

const { bin, exports } = JSON.parse(await readFile('package.json', 'utf8'))
const entries = Object.values(exports).filter(entry => entry.require)
const [dist = 'dist'] = process.argv.slice(2)

/** Packages that got imports for options which this package never sets. They double its size. */
const UNUSED_BY_GOT = [
  'cacheable-lookup',
  'cacheable-request',
  'decompress-response',
  'form-data-encoder',
  'http2-wrapper',
]
const UNUSED_BY_CLI = ['../utils/delimiter_discover.js', 'string-width']

const withoutUnusedPackages = {
  name: 'without-unused-packages',
  resolveId(name) {
    if (UNUSED_BY_GOT.includes(name)) return path.resolve('scripts/unused-by-got.mjs')
    return UNUSED_BY_CLI.includes(name) ? path.resolve('scripts/unused-by-cli.mjs') : null
  },
}

/** Only Node's cache of a failed `import` needs a new name for the chunk: a failed `require` is retried. */
const noNewNameInCjs = {
  name: 'no-new-name-in-cjs',
  renderDynamicImport: ({ format, targetModuleId }) =>
    format === 'cjs' && targetModuleId === null ? { left: 'Promise.reject(', right: ')' } : null,
}

/**
 * All but the client, whose code is long, and whose lines are in the stack traces of users. Names stay. Lines have any length,
 * because esbuild would break strings too.
 */
const COMPACT = { minifyWhitespace: true, minifySyntax: true, legalComments: 'none' }

/** The packages of the command. */
const CLI_PACKAGES = 'cli/packages.js'

/** The command, and packages: users do not look for their names in a stack trace. */
const MINIFIED = /^cli\/|\/(got|jwe)\.c?js$/

const compact = {
  name: 'compact',
  renderChunk(code, { fileName }) {
    if (MINIFIED.test(fileName)) return transform(code, { minify: true, legalComments: 'none' })
    return /^edge\/|\/(gateway-emulator|testing|redis|handlers|errors)\.c?js$|\/(testing|redis|handlers)\//.test(
      fileName,
    )
      ? transform(code, COMPACT)
      : null
  },
}

/** Docstrings would take a tenth of the package, and editors read those of the declarations. */
const withoutDocstrings = {
  name: 'without-docstrings',
  renderChunk: code => ({ code: code.replace(/^[ \t]*\/\*\*[\s\S]*?\*\/\n/gm, ''), map: null }),
}

/** At the edge, `x.edge.ts` takes the place of `x.ts` beside it: see docs/decisions/0021-the-edge.md. */
const edgeFiles = {
  name: 'edge-files',
  resolveId(name, importer) {
    const file = path.resolve(path.dirname(importer ?? ''), name.replace(/\.js$/, '.edge.ts'))
    return name.startsWith('.') && existsSync(file) ? file : null
  },
}

/** These replace globals. In Jest's jsdom, globals are missing or behave as in a browser; fake timers replace them. */
const nodeGlobals = inject({
  ...from(path.resolve('scripts/node-globals.mjs'), [
    'AbortController',
    ...['clearInterval', 'clearTimeout', 'setImmediate', 'setInterval', 'setTimeout'],
  ]),
  ...from('node:util', ['TextDecoder', 'TextEncoder']),
  crypto: ['node:crypto', 'webcrypto'],
})

const licences = license({
  thirdParty: {
    allow: { test: '(MIT OR ISC OR BlueOak-1.0.0)', failOnUnlicensed: true, failOnViolation: true },
    output: { file: path.resolve(dist, 'THIRD-PARTY-LICENSES.txt'), template: licencesOf },
  },
})

const billOfMaterials = sbom({
  rootComponentType: 'library',
  outDir: '',
  outFilename: 'sbom.cdx',
  saveTimestamp: false,
  includeWellKnown: false,
})

const nodePlugins = [
  withoutUnusedPackages,
  nodeResolve({ exportConditions: ['node'], preferBuiltins: true }),
  commonjs(),
  esbuild({ target: 'node20', tsconfig: false }),
  nodeGlobals,
]
// got and jwe are loaded when they are needed: see load-chunk.ts. The others are shared, and named for stack traces.
const nodeChunks = {
  got: ['got'],
  jose: ['jose/jwt/decode', 'lib/token/expiry.ts'],
  jwe: ['lib/store/jwe.ts'],
  errors: ['errors', 'nearest-name', 'server-only'].map(name => `lib/core/${name}.ts`),
  globals: [
    'scripts/node-globals.mjs',
    'lib/core/call-listener.ts',
    'lib/core/peek.ts',
    'lib/store/max-record-length.ts',
  ],
}

await bundle({
  input: inputOf([...targetsIn('esm'), ...Object.values(bin)]),
  output: {
    format: 'es',
    chunkFileNames: ({ name }) => (name === 'packages' ? CLI_PACKAGES : 'esm/chunks/[name].js'),
    manualChunks: { ...nodeChunks, packages: ['cli-progress', 'csv-parse'] },
  },
  plugins: [...nodePlugins, licences, billOfMaterials],
})
await bundle({
  input: Object.fromEntries(entries.map(entry => [nameOf(entry.require.default), sourceOf(entry.import.default)])),
  output: { format: 'cjs', chunkFileNames: 'cjs/chunks/[name].cjs', manualChunks: nodeChunks },
  plugins: nodePlugins,
})
await bundle({
  input: inputOf(targetsIn('edge')),
  // One chunk, because not every bundler for the edge can load a part later.
  output: {
    format: 'es',
    chunkFileNames: 'edge/chunks/[name].js',
    manualChunks: id => (isEntry(id) ? null : 'client'),
  },
  plugins: [
    edgeFiles,
    nodeResolve({ exportConditions: ['workerd', 'edge-light', 'browser'], preferBuiltins: false }),
    esbuild({ target: 'es2022', tsconfig: false }),
  ],
})
await copyFile('lib/cli/emulator/page.html', path.join(dist, 'cli/page.html'))
await writeFile(path.join(dist, 'cjs/package.json'), '{ "type": "commonjs" }\n')
await Promise.all(Object.values(bin).map(file => chmod(path.join(dist, nameOf(file)), 0o755)))

async function bundle({ input, output, plugins }) {
  const graph = await rollup({
    input,
    plugins,
    onLog(level, { plugin, message }) {
      // It reports that Vite is not installed.
      if (level === 'warn' && plugin !== 'rollup-plugin-sbom') throw new Error(message)
    },
  })
  await graph.write({
    ...output,
    dir: dist,
    entryFileNames: '[name]',
    hoistTransitiveImports: false,
    minifyInternalExports: false,
    generatedCode: 'es2015',
    exports: 'named',
    dynamicImportInCjs: false, // Jest does not support `import()` in CommonJS.
    plugins: [withoutDocstrings, compact, noNewNameInCjs],
  })
  await graph.close()
}

/** Sorted, because rollup does not always report modules in the same order. */
function licencesOf(packages) {
  const texts = packages.map(({ name, version, license, licenseText, noticeText }) => {
    if (!licenseText) throw new Error(`${name} is inlined, but has no licence file`)
    return [`${name} ${version} (${license})`, licenseText, noticeText].filter(Boolean).join('\n\n')
  })
  const head = 'The files of this folder contain code of these packages.'
  return [head, ...texts.sort()].join(`\n\n${'='.repeat(80)}\n`)
}

function from(module, names) {
  return Object.fromEntries(names.map(name => [name, [module, name]]))
}

function inputOf(files) {
  return Object.fromEntries(files.map(file => [nameOf(file), sourceOf(file)]))
}

/** Returns every file of this folder of `dist` that `exports` names for `import`. */
function targetsIn(folder, conditions = exports) {
  if (typeof conditions === 'string') {
    return conditions.startsWith(`./dist/${folder}/`) && conditions.endsWith('.js') ? [conditions] : []
  }
  return [...new Set(Object.values(conditions).flatMap(value => targetsIn(folder, value)))]
}

function isEntry(id) {
  return targetsIn('edge').some(file => path.resolve(sourceOf(file)) === id)
}

/** Returns `esm/index.js` for `./dist/esm/index.js`. */
function nameOf(file) {
  return path.posix.relative('dist', file)
}

/** Returns `lib/handlers/index.ts` for `./dist/esm/handlers/index.js`. */
function sourceOf(file) {
  return file.replace(/^(?:\.\/)?dist\/((esm|edge)\/)?/, 'lib/').replace(/\.js$/, '.ts')
}
