// SPDX-License-Identifier: Apache-2.0

/// Flags of a send, as the ABI has them.
package enum SendFlag {
  package static var liveOnly: UInt32 { 1 }
  package static var report: UInt32 { 2 }
  package static var first: UInt32 { 4 }
  package static var inLimit: UInt32 { 8 }
  package static var all: UInt32 { 15 }
}
