"""Numba's compiler, taught three things: 512-bit vectors, arrays without reference counts, and to optimise and assemble
a kernel once.

Numba optimises and assembles every function by itself, then copies it into its callers and does both again: a GEMM
under four layers of callers is compiled five times. Inner functions (`Part`) stop after their LLVM code is written;
the kernel at the top (`Whole`) is optimised with all of its parts in place.

This leans on Numba's internals (0.62 and later); nothing else in the package does, but for the cache.
"""

from numba import _dynfunc
from numba.core import typed_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower


class _WideLower(Lower):
    """Lowering that asks for 512-bit vectors, which LLVM otherwise avoids on most CPUs that have them."""

    def setup_function(self, fndesc):
        super().setup_function(fndesc)
        # llvmlite knows no quoted attributes: its set checks names, the set it derives from does not
        set.add(self.function.attributes, '"prefer-vector-width"="512"')


@register_pass(mutates_CFG=True, analysis_only=False)
class _WholeLowering(typed_passes.NativeLowering):
    _name = "whole_lowering"

    @property
    def lowering_class(self):
        return _WideLower

    def run_pass(self, state):
        # arrays are borrowed from whoever calls: nothing is allocated here, and no reference counted
        state.targetctx = state.targetctx.subtarget(enable_nrt=False)
        return super().run_pass(state)


class _PartLibrary(JITCodeLibrary):
    """Code that waits for its callers: linked, neither optimised nor assembled."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(_WholeLowering):
    _name = "part_lowering"

    def run_pass(self, state):
        context, flags = state.targetctx, state.flags
        state.library = _PartLibrary(context.codegen(), state.func_id.func_qualname)
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        super().run_pass(state)
        result = state["cr"]
        state.library.finalize()
        # callers find it as they find any compiled function; it has no machine code, so nobody may call it from Python
        name = result.fndesc.qualname
        stand_in = _dynfunc.make_function(result.fndesc.lookup_module(), name, name, 0, result.env, (state.library,))
        context.insert_user_function(stand_in, result.fndesc, [state.library])
        state["cr"] = result._replace(cfunc=stand_in)
        return True


def _with_lowering(state, lowering):
    pipeline = DefaultPassBuilder.define_nopython_pipeline(state)
    pipeline.passes = [(lowering if p is typed_passes.NativeLowering else p, text) for p, text in pipeline.passes]
    pipeline.finalize()
    return [pipeline]


class Whole(CompilerBase):
    def define_pipelines(self):
        return _with_lowering(self.state, _WholeLowering)


class Part(CompilerBase):
    def define_pipelines(self):
        return _with_lowering(self.state, _PartLowering)
