// SPDX-License-Identifier: Apache-2.0
import CPulseSys

/// What a descriptor is ready for, or what is waited for. (`public` as `EventHandler` is `open`.)
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  package static var readable: Self { Self(rawValue: UInt32(PSYS_READABLE)) }
  package static var writable: Self { Self(rawValue: UInt32(PSYS_WRITABLE)) }
  /// An error or the end of both directions; told whether or not it is waited for.
  package static var hangup: Self { Self(rawValue: UInt32(PSYS_HANGUP)) }
  /// Each change is told once.
  static var edge: Self { Self(rawValue: UInt32(PSYS_EDGE)) }
}
