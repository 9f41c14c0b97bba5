import { build } from 'tsup'

await build({
  entry: { handler: 'lambda.mjs' },
  outDir: 'out-tsup',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  config: false,
  // By default, tsup bundles no packages that package.json names.
  noExternal: [/./],
})
