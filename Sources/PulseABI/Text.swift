// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import CPulseWS
import PulseClient
import PulseProcess
import PulseText

/// Copies a sentence to the caller's buffer, cut at a whole character, and ends it with NUL.
func copySentence(_ text: String, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) {
  guard let buffer, size != 0 else { return }
  // A size_t above the largest Int arrives here as a negative number.
  let size = size < 0 ? Int.max : size
  var count = 0
  for byte in text.bytes {
    if count == size - 1 {
      while count > 0 && UInt8(bitPattern: buffer[count - 1]) & 0xC0 == 0x80 { count -= 1 }
      if count > 0 && UInt8(bitPattern: buffer[count - 1]) >= 0xC0 { count -= 1 }
      break
    }
    buffer[count] = CChar(bitPattern: byte)
    count += 1
  }
  buffer[count] = 0
}

/// Copies as much as fits with a NUL behind it; returns the whole length.
func copyBytes(_ bytes: [UInt8], _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  if let buffer, size != 0 {
    let size = size < 0 ? Int.max : size
    let count = bytes.count < size - 1 ? bytes.count : size - 1
    for index in 0..<count { buffer[index] = CChar(bitPattern: bytes[index]) }
    buffer[count] = 0
  }
  return Int64(bytes.count)
}

/// Constant texts live as long as the process; Swift ends them with NUL.
func constant(_ text: Literal) -> UnsafePointer<CChar>? {
  UnsafePointer(UnsafeRawPointer(text.start).assumingMemoryBound(to: CChar.self))
}

/// A caller's text; nil for NULL and for bytes that are not UTF-8.
func string(_ pointer: UnsafePointer<CChar>?) -> String? {
  guard let pointer else { return nil }
  var isUTF8 = true
  let text = String(cText: pointer, &isUTF8)
  return isUTF8 ? text : nil
}

/// Whether there is memory for copies of a caller's text, however long it is.
func fits(_ text: UnsafePointer<CChar>?) -> Bool {
  guard let text else { return true }
  return Client.hasMemory(for: psys_strlen(text))
}

func fail(
  _ code: StatusCode, _ sentence: String, _ error: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
  copySentence(sentence, error, size)
  return code.rawValue
}

/// For the code of `ClientLookup.problem`.
func noClient(_ code: Int32, _ error: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int32 {
  copySentence(code == StatusCode.forked.rawValue ? "the client was made before fork()" : "client is NULL", error, size)
  return code
}
