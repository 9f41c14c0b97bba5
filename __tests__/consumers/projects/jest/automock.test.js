jest.mock('@video-io/videokit-nodejs')
const sdk = require('@video-io/videokit-nodejs')
const useAutomock = require('./use-automock.cjs')

test('an automock replaces the errors too', () => useAutomock(sdk))
