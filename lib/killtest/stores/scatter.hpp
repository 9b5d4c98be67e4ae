// scatter: the instructions that store to several places, and that a death can interrupt between
// two of them.
#pragma once

namespace outlive::killtest::detail {

// Whether `code` is a scatter of AVX-512 (vpscatterdd, vscatterqpd ...). The processor stores its
// elements one by one, in an order of its own, and an interrupt between them is delivered: then
// the mask register says which are left. All other instructions store all or nothing; rep movs and
// its like stop after each step by themselves.
// Reads no byte behind the instruction.
[[nodiscard]] bool is_scatter(const unsigned char* code) noexcept;

}  // namespace outlive::killtest::detail
