import * as sdk from '@video-io/videokit-nodejs'
import { createRequire } from 'node:module'
import { expect, test, vi } from 'vitest'
import useAutomock from './use-automock.cjs'

vi.mock('@video-io/videokit-nodejs')

test('an automock replaces the errors too', () => useAutomock(sdk))

test('an automock does not change what require returns', () => {
  const { VKitError, VKitServerError } = createRequire(import.meta.url)('@video-io/videokit-nodejs')
  expect(VKitError.is(new VKitServerError('down'))).toBe(true)
})
