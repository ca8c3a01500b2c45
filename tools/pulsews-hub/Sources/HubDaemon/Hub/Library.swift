// SPDX-License-Identifier: Apache-2.0
import CPulseWS

/// What the library says of a call that failed.
struct LibraryFailure: Error, Equatable {
  let code: Int32
  let sentence: String
}

/// Calls the library with a buffer for its sentence.
func library(_ call: (UnsafeMutablePointer<CChar>?, Int) -> Int32) throws(LibraryFailure) {
  var code: Int32 = 0
  let buffer = [CChar](unsafeUninitializedCapacity: Int(PULSEWS_ERROR_SIZE)) { buffer, count in
    buffer.initialize(repeating: 0)
    code = call(buffer.baseAddress, buffer.count)
    count = buffer.count
  }
  if code == OK.code { return }
  let sentence = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  throw LibraryFailure(code: code, sentence: sentence.isEmpty ? text(pulsews_error_text(code)) : sentence)
}

/// A text of the library that is copied into a buffer of the caller's.
func libraryText(_ call: (UnsafeMutablePointer<CChar>?, Int) -> Int64) -> String? {
  // It may grow between measuring and copying.
  for _ in 0..<8 {
    guard let length = Int(exactly: call(nil, 0)), length >= 0, length < 1 << 30 else { return nil }
    var written: Int64 = -1
    let size = length + 256
    let buffer = [CChar](unsafeUninitializedCapacity: size) { buffer, count in
      buffer.initialize(repeating: 0)
      written = call(buffer.baseAddress, buffer.count)
      count = buffer.count
    }
    if written < 0 { return nil }
    if written < size { return String(decoding: buffer.prefix(Int(written)).map { UInt8(bitPattern: $0) }, as: UTF8.self) }
  }
  return nil
}

/// A loop of the library, shared by the hub and the clients of its feeds.
final class LibraryLoop: @unchecked Sendable {  // nothing changes after init; the library takes calls of any thread
  let handle: OpaquePointer?

  init() throws(LibraryFailure) {
    var made: OpaquePointer?
    try library { pulsews_loop_create(0, &made, $0, $1) }
    handle = made
  }

  deinit { pulsews_loop_free(handle) }
}
