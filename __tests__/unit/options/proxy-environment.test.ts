import https from 'node:https'
import { afterEach, describe, expect, it } from '@jest/globals'
import { proxyEnvironment } from '../../../lib/options/proxy-environment.js'

const options = https.globalAgent.options as { proxyEnv?: object | undefined }
const original = options.proxyEnv

afterEach(() => {
  options.proxyEnv = original
})

describe('the proxy of the environment', () => {
  it.each(['https_proxy', 'HTTPS_PROXY'])('is %s, if Node uses it', name => {
    const variables = { [name]: 'http://proxy.example:3128', no_proxy: 'gateway.example' }
    options.proxyEnv = variables
    expect(proxyEnvironment()).toBe(variables)
  })

  it.each([[undefined], [{ http_proxy: 'http://proxy.example:3128', https_proxy: '' }]])(
    'is not set, if Node uses none for https: %j',
    variables => {
      options.proxyEnv = variables
      expect(proxyEnvironment()).toBeUndefined()
    },
  )
})
