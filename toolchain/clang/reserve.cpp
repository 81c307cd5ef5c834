// SPDX-License-Identifier: MIT
//
// A plugin for clang 14 that keeps %r11 and %r15 out of the code it makes, as gcc's -ffixed-r11
// and -ffixed-r15 do. LLVM has no such option on x86-64, so its register allocator is told that
// something else holds the two registers throughout every function.
//
// Nothing relies on this for safety: the assembler stage refuses code that names them.
//
#include "llvm/CodeGen/LiveIntervals.h"
#include "llvm/CodeGen/MachineFunctionPass.h"
#include "llvm/CodeGen/Passes.h"
#include "llvm/CodeGen/RegAllocRegistry.h"
#include "llvm/CodeGen/TargetRegisterInfo.h"
#include "llvm/CodeGen/TargetSubtargetInfo.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/LegacyPassManagers.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Passes/PassPlugin.h"

using namespace llvm;

namespace {

// Runs in place of the register allocator, which it schedules after itself.
class Reserve : public MachineFunctionPass {
public:
  static char ID;
  Reserve() : MachineFunctionPass(ID) {}

  StringRef getPassName() const override { return "uFork reserved registers"; }

  void getAnalysisUsage(AnalysisUsage &AU) const override {
    AU.addRequired<SlotIndexes>();
    AU.addRequired<LiveIntervals>();
    AU.setPreservesAll();
    MachineFunctionPass::getAnalysisUsage(AU);
  }

  void assignPassManager(PMStack &Stack, PassManagerType Type) override {
    MachineFunctionPass::assignPassManager(Stack, Type);
    Stack.top()->getTopLevelManager()->schedulePass(createGreedyRegisterAllocator());
  }

  bool runOnMachineFunction(MachineFunction &MF) override {
    const TargetRegisterInfo *TRI = MF.getSubtarget().getRegisterInfo();
    for (unsigned Reg = 1; Reg < TRI->getNumRegs(); ++Reg) {
      StringRef Name = TRI->getName(Reg);
      if (Name == "R11" || Name == "R15")
        occupy(MCRegister(Reg), TRI);
    }
    return false;
  }

private:
  // Makes the register live from the first to the last instruction of the function.
  void occupy(MCRegister Reg, const TargetRegisterInfo *TRI) {
    LiveIntervals &LIS = getAnalysis<LiveIntervals>();
    SlotIndexes &Slots = getAnalysis<SlotIndexes>();
    SlotIndex First = Slots.getZeroIndex(), Last = Slots.getLastIndex();
    for (MCRegUnitIterator Unit(Reg, TRI); Unit.isValid(); ++Unit) {
      LiveRange &Range = LIS.getRegUnit(*Unit);
      Range.clear();
      VNInfo *Value = Range.getNextValue(First, LIS.getVNInfoAllocator());
      Range.addSegment(LiveRange::Segment(First, Last, Value));
    }
  }
};

char Reserve::ID;

// A variadic tail call through a pointer with six arguments in registers and the number of vector
// registers in %al has only %r11 left for the pointer: such calls become ordinary ones.
struct NoVariadicTailCalls : PassInfoMixin<NoVariadicTailCalls> {
  static bool isRequired() { return true; }

  PreservedAnalyses run(Function &F, FunctionAnalysisManager &) {
    for (Instruction &I : instructions(F)) {
      auto *Call = dyn_cast<CallInst>(&I);
      if (Call && Call->isIndirectCall() && Call->getFunctionType()->isVarArg() &&
          !Call->isMustTailCall())
        Call->setTailCallKind(CallInst::TCK_NoTail);
    }
    return PreservedAnalyses::all();
  }
};

// Brackets inline assembly in line markers, as gcc does, so that the assembler stage can tell where
// it refuses something. ufork-cc has clang keep track of lines even without -g.
struct MarkInlineAssembly : PassInfoMixin<MarkInlineAssembly> {
  static bool isRequired() { return true; }

  PreservedAnalyses run(Function &F, FunctionAnalysisManager &) {
    for (Instruction &I : instructions(F)) {
      auto *Call = dyn_cast<CallBase>(&I);
      if (Call && Call->isInlineAsm() && Call->getDebugLoc())
        mark(*Call);
    }
    return PreservedAnalyses::all();
  }

private:
  static void mark(CallBase &Call) {
    auto *Asm = cast<InlineAsm>(Call.getCalledOperand());
    const DILocation *Place = Call.getDebugLoc().get();
    StringRef File = Place->getFilename();
    // These mean something in a template of inline assembly, or in a line marker.
    if (Asm->getAsmString().empty() || File.find_first_of("${|}\"\\\n") != StringRef::npos)
      return;
    std::string Text = ("# " + Twine(Place->getLine()) + " \"" + File + "\" 1\n\t" +
                        Asm->getAsmString() + "\n# 0 \"\" 2")
                           .str();
    Call.setCalledOperand(InlineAsm::get(Asm->getFunctionType(), Text, Asm->getConstraintString(),
                                         Asm->hasSideEffects(), Asm->isAlignStack(),
                                         Asm->getDialect(), Asm->canThrow()));
  }
};

void addPasses(PassBuilder &Builder) {
  Builder.registerOptimizerLastEPCallback([](ModulePassManager &Passes, OptimizationLevel) {
    FunctionPassManager Functions;
    Functions.addPass(NoVariadicTailCalls());
    Functions.addPass(MarkInlineAssembly());
    Passes.addPass(createModuleToFunctionPassAdaptor(std::move(Functions)));
  });
}

FunctionPass *createReserve() { return new Reserve; }

// clang loads the plugin (-fplugin) before it builds the passes of its back end.
struct AtLoad {
  AtLoad() { RegisterRegAlloc::setDefault(createReserve); }
} atLoad;

} // namespace

// For -fpass-plugin.
extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "ufork-reserve", "1", addPasses};
}
