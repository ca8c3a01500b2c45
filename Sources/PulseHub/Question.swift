// SPDX-License-Identifier: Apache-2.0

/// A request that the hub answers itself.
final class Question {
  let number: UInt64
  let kind: HubRoute.Kind

  init(_ number: UInt64, _ kind: HubRoute.Kind) {
    self.number = number
    self.kind = kind
  }
}
