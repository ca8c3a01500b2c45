// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

/// The path of a test, which is right.
func jsonPath(_ text: String) throws -> JSONPath {
  guard case .success(let path) = JSONPath.parse(Array(text.utf8)) else { throw NoPath(text: text) }
  return path
}

struct NoPath: Error {
  let text: String
}
